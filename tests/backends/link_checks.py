"""The links between the signals in the data sources, followed as Grafana follows them."""

import re

from bench import same, until
from files import boards, label_of, needing
from store_checks import EDGES, LOGGED, edges, traced_lines
from whole import EXPECTED_SPANS

CHECKS = []


def substituted(query, tags, variables):
    """Returns a query with the tags of a span and other variables, as Grafana creates it."""
    matchers = ", ".join(f'{label}="{value}"' for label, value in tags.items())
    for name, value in {"__tags": matchers, **variables}.items():
        query = query.replace(f"${{{name}}}", value).replace(f"${name}", value)
    assert "$" not in query, f"unknown variable in {query}"
    return query


def tags_of(link, attributes):
    """Returns the labels for the span attributes that a link names."""
    return {tag.get("value", tag["key"]): attributes[tag["key"]] for tag in link["tags"]}


@needing("loki")
def trace_to_logs(stack):
    """trace to logs: the query returns the lines of the service in that trace, and no others"""
    link = stack.files.data_sources()["tempo"]["jsonData"]["tracesToLogsV2"]
    same((link["datasourceUid"], link["customQuery"]), ("loki", True), "link")
    for request in stack.requests:
        for service, text in LOGGED.items():
            query = substituted(link["query"], tags_of(link, {"service.name": service}), {"__trace.traceId": request.trace})
            found = until(lambda query=query: stack.loki.lines(query, stack.began), f"{query} finds nothing")
            assert text in [line.text for line in found], f"{query} does not find {text!r}"
            lines = traced_lines(stack)
            expected = [line for line in lines if (line.labels["service_name"], line.metadata["trace_id"]) == (service, request.trace)]
            same(sorted(found, key=str), sorted(expected, key=str), query)


@needing("loki", "tempo")
def log_to_trace(stack):
    """log to trace: the derived field of each line is the id of a trace in Tempo"""
    field = derived_field(stack, "Trace")
    same((field["matcherType"], field["datasourceUid"], field["url"]), ("label", "tempo", "${__value.raw}"), "derived field")
    for line in until(lambda: traced_lines(stack), "there are no lines"):
        names = {**line.labels, **line.metadata}
        [trace] = [value for name, value in names.items() if re.search(field["matcherRegex"], name)]
        until(lambda trace=trace: stack.tempo.spans(trace), f"Tempo does not know the trace {trace}")


def derived_field(stack, name):
    """Returns a derived field of Loki, which is a link from its lines."""
    [field] = [field for field in stack.files.data_sources()["loki"]["jsonData"]["derivedFields"] if field["name"] == name]
    return field


@needing("loki")
def log_to_metrics(stack):
    """log to metrics: the derived field of each line leads to a dashboard with its service"""
    field = derived_field(stack, "Service")
    same((field["matcherType"], field.get("datasourceUid")), ("label", None), "derived field")
    path, _, parameter = field["url"].partition("?")
    by_path = {f"/d/{board['uid']}": board for board in boards(stack.files).values()}
    assert path in by_path, f"{path} is not a dashboard, expected one of {sorted(by_path)}"
    name, _, value = parameter.removeprefix("var-").partition("=")
    variables = {variable["name"]: variable for variable in by_path[path]["templating"]["list"]}
    assert name in variables, f"{path} has no variable {name}, expected one of {sorted(variables)}"
    same(value, "${__value.raw}", "value of the variable")
    metric, label = label_of(variables[name])
    for line in until(lambda: traced_lines(stack), "there are no lines"):
        names = {**line.labels, **line.metadata}
        [service] = [value for name, value in names.items() if re.search(field["matcherRegex"], name)]
        assert stack.prometheus.query(f'last_over_time({metric}{{{label}="{service}"}}[1h])'), f"no {metric} of {service}"


@needing()
def metric_to_trace(stack):
    """metric to trace: each span metric has exemplars with the id of a request's trace"""
    [link] = stack.files.data_sources()["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    same(link["datasourceUid"], "tempo", "data source of the exemplars")
    names = {name for _, name, _ in EXPECTED_SPANS}
    until(lambda: names == {labels["span_name"] for labels, _ in exemplars(stack)}, lambda: f"found {exemplars(stack)}")
    ids = {request.trace for request in stack.requests}
    for labels, found in exemplars(stack):
        linked = {exemplar["labels"].get(link["name"]) for exemplar in found}
        assert linked <= ids, f"{labels}: {linked} are not requests"


def exemplars(stack):
    return stack.prometheus.exemplars("traces_span_metrics_duration_seconds_bucket", stack.began)


@needing("tempo")
def metric_of_tempo_to_trace(stack):
    """metric to trace: the metrics of the service graph have exemplars whose ids Tempo finds"""
    [link] = stack.files.data_sources()["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    metric = "traces_service_graph_request_server_seconds_bucket"
    found = until(lambda: stack.prometheus.exemplars(metric, stack.began), "there are no exemplars")
    linked = {exemplar["labels"].get(link["name"]) for _, series in found for exemplar in series}
    # Tempo writes an id without its leading zeros, and finds the trace by it.
    assert {trace.zfill(32) for trace in linked} <= {request.trace for request in stack.requests}, linked
    for trace in linked:
        assert stack.tempo.spans(trace), f"Tempo does not know the trace {trace}"


@needing()
def trace_to_metrics(stack):
    """trace to metrics: each query finds the metrics of each span, except the one for errors"""
    for query, spans in metric_queries(stack, EXPECTED_SPANS).items():
        for expression in spans if "STATUS_CODE_ERROR" not in query else ():
            until(lambda expression=expression: stack.prometheus.query(expression), f"{query}: nothing for {expression}")


def metric_queries(stack, spans):
    """Returns the queries of the link from spans to metrics, each with the expressions that Grafana creates for these spans."""
    link = stack.files.data_sources()["tempo"]["jsonData"]["tracesToMetrics"]
    same(link["datasourceUid"], "prometheus", "data source of the metrics")
    return {
        query["query"]: [
            substituted(query["query"], tags_of(link, {"service.name": service}), {"__span.name": name}) for service, name, _ in spans
        ]
        for query in link["queries"]
    }


# The last check, because it sends one more request.
@needing("tempo")
def service_map(stack):
    """service map: Prometheus has the metrics that Grafana's service graph reads, also for a client without spans"""
    same(stack.files.data_sources()["tempo"]["jsonData"]["serviceMap"]["datasourceUid"], "prometheus", "data source of the service map")
    stack.onboard_directly()
    # The edge of the client appears when Tempo stops waiting for the client's span.
    client = ("user", "onboarding-api", "virtual_node")
    until(lambda: client in edges(stack), lambda: f"the client does not appear: {edges(stack)}")
    same(set(edges(stack)), {*EDGES, client}, "edges")
    for metric in ("traces_service_graph_request_server_seconds_sum", "traces_service_graph_request_client_seconds_bucket"):
        edge = f'{metric}{{client="onboarding-api", server="onboarding-lambda"}}'
        until(lambda edge=edge: stack.prometheus.query(edge), f"no series for {edge}")
