"""After the failures that alert_checks.failing has caused: the query of every panel returns something, and the link from
spans to metrics finds errors."""

import math

from bench import same, until
from files import boards, label_of, needing
from link_checks import metric_queries
from whole import EXPECTED_SPANS

CHECKS = []

# Values of Grafana's variables.
VARIABLES = {"__rate_interval": "30s", "__interval": "1m", "service": ".+", "environment": ".*", "queue": ".*", "measured_queue": ".+"}
STEP_SECONDS = 5
# The spans that fail when there is no queue, or when the function fails.
FAILED_SPANS = EXPECTED_SPANS[:3]


@needing()
def panels_of_prometheus(stack):
    """each query of Prometheus in the dashboards returns series"""
    found = list(queries(stack, "prometheus"))
    assert len(found) > 50, f"there are only {len(found)} queries"
    for panel, target in found:
        expression = substituted(target["expr"], VARIABLES)
        if not can_be_shown(stack, expression):
            continue
        until(lambda expression=expression: values(stack, expression), f"{panel}: nothing for {expression}")


@needing()
def depth(stack):
    """the charts of the depth of the queues show messages in each state"""
    expressions = [substituted(target["expr"], VARIABLES) for _, target in queries(stack, "prometheus") if "aws_sqs_" in target["expr"]]
    same(len(expressions), 4, "queries for the depth of the queues")
    for expression in expressions:
        until(lambda expression=expression: any(values(stack, expression)), f"only zeros for {expression}")


@needing()
def errors_of_spans(stack):
    """trace to metrics: the query for errors finds those of failed requests and messages"""
    [expressions] = [found for query, found in metric_queries(stack, FAILED_SPANS).items() if "STATUS_CODE_ERROR" in query]
    for expression in expressions:
        until(lambda expression=expression: stack.prometheus.query(expression), f"nothing for {expression}")


# Parts of the names of metrics that need a program.
NEEDS = {"tempo_": "tempo", "sent_spans": "tempo", "loki_": "loki", "sent_log_records": "loki"}


def can_be_shown(stack, expression):
    """Returns whether the programs run whose metrics an expression reads."""
    return all(getattr(stack.programs, name) for part, name in NEEDS.items() if part in expression)


def values(stack, expression):
    """Returns the numbers of all series since the start."""
    found = stack.prometheus.range(expression, stack.began, STEP_SECONDS)
    return [value for series in found for value in series if not math.isnan(value)]


@needing()
def variables(stack):
    """each variable of a dashboard has values"""
    for name, board in boards(stack.files).items():
        for variable in board["templating"].get("list", []):
            if variable["type"] == "query":
                metric, label = label_of(variable)
                assert any(label in labels for labels, _ in stack.prometheus.query(f"last_over_time({metric}[1h])")), f"{name}: {variable['query']}"


@needing("loki")
def panels_of_loki(stack):
    """each query of Loki in the dashboards returns lines"""
    variables = VARIABLES | {"trace_id": stack.requests[0].trace}
    for panel, target in queries(stack, "loki"):
        query = substituted(target["expr"], variables)
        until(lambda query=query: stack.loki.lines(query, stack.began), f"{panel}: nothing for {query}")


@needing("tempo")
def panels_of_tempo(stack):
    """each query of Tempo in the dashboards finds traces"""
    for panel, target in queries(stack, "tempo"):
        if target["queryType"] == "serviceMap":
            continue  # link_checks.service_map checks its metrics.
        if target["query"] == "$trace_id":
            assert stack.tempo.spans(stack.requests[0].trace), panel
            continue
        query = substituted(target["query"], VARIABLES | {"message_id": message_id(stack)})
        until(lambda query=query: stack.tempo.search(query), f"{panel}: nothing for {query}")


def message_id(stack):
    """Returns the id of a message, from the line that the producer has logged."""
    [line, *_] = stack.loki.lines('{service_name="onboarding-api"} |= "message accepted"', stack.began)
    return line.metadata["message_id"]


def queries(stack, source):
    """Yields the queries of a data source, with the dashboard and title of their panel."""
    for name, board in boards(stack.files).items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if panel["datasource"]["uid"] == source:
                    yield f"{name}, {panel['title']}", target


def substituted(query, variables):
    for name, value in variables.items():
        query = query.replace(f"${name}", value)
    assert "$" not in query, f"unknown variable in {query}"
    return query
