"""The metrics, log lines and spans in their stores, and their retention of seven days."""

import collections
import pathlib
import subprocess

import yaml
from apis import text
from bench import TIMEOUT_SECONDS, responds, same, until
from files import needing
from stack import REQUESTS
from whole import EXPECTED_SPANS, HANDLED

CHECKS = []

# The line that each service logs for a request.
LOGGED = {"onboarding-api": "message accepted", "onboarding-lambda": HANDLED}
# Counters of both services' own metrics, which they send as deltas.
OWN_METRICS = (
    'http_server_request_duration_seconds_count{http_route="/onboarding"}',
    "messaging_client_sent_messages_total",
    "messaging_client_consumed_messages_total",
    "messaging_process_duration_seconds_count",
)
SPAN_METRIC = "traces_span_metrics_calls_total"
CALLS = f"sum by (service_name, span_name, span_kind) ({SPAN_METRIC})"
# The edges between services: client, server and kind.
EDGES = {("onboarding-api", "onboarding-lambda", "messaging_system"): REQUESTS, ("onboarding-lambda", "onboardings", "database"): REQUESTS}
# Labels from resource attributes. The function has a region as well.
PROMOTED = {"service_namespace": "onboarding", "service_version": "development", "deployment_environment_name": "development"}


@needing()
def span_metrics(stack):
    """Prometheus has exact counts of the spans of both services, and no batch spans"""
    expected = {(service, name, f"SPAN_KIND_{kind}"): REQUESTS for service, name, kind in EXPECTED_SPANS}
    until(lambda: span_counts(stack) == expected, lambda: f"found {span_counts(stack)}, expected {expected}")
    # Wait for the next export, which would contain spans that are counted twice.
    before = newest_sample(stack)
    until(lambda: newest_sample(stack) > before, "the span metrics are not exported again")
    same(span_counts(stack), expected, "spans in the span metrics")


def newest_sample(stack):
    return stack.prometheus.query("max(timestamp(traces_span_metrics_calls_total))")[0][1]


def span_counts(stack):
    return {(labels["service_name"], labels["span_name"], labels["span_kind"]): value for labels, value in stack.prometheus.query(CALLS)}


@needing()
def own_metrics(stack):
    """Prometheus has exact counts of the services' own metrics, with resource attributes as labels"""
    expected = dict.fromkeys(OWN_METRICS, REQUESTS)
    until(lambda: own_counts(stack) == expected, lambda: f"found {own_counts(stack)}")
    for metric in (*OWN_METRICS, SPAN_METRIC):
        for labels, _ in stack.prometheus.query(metric):
            same({name: labels.get(name) for name in PROMOTED}, PROMOTED, metric)
            # The span metrics of all instances are one series.
            same("service_instance_id" in labels, metric != SPAN_METRIC, f"service_instance_id of {metric}")


def own_counts(stack):
    return {metric: sum(value for _, value in stack.prometheus.query(metric)) for metric in OWN_METRICS}


@needing()
def scrapes(stack):
    """Prometheus scrapes itself, the local stack, the Collector, Tempo and Loki"""
    running = {"prometheus", "local-stack", "collector", *(name for name in ("tempo", "loki") if getattr(stack.programs, name))}
    until(lambda: running <= healthy(stack), lambda: stack.prometheus.targets())
    same(set(stack.prometheus.targets()), {"prometheus", "local-stack", "collector", "tempo", "loki"}, "scraped jobs")


@needing()
def scrapes_by_name(stack):
    """the local stack accepts the host name that Prometheus uses between containers"""
    jobs = yaml.safe_load((stack.files.infra / "prometheus/prometheus.yaml").read_text())["scrape_configs"]
    [name] = [target for job in jobs if job["job_name"] == "local-stack" for target in job["static_configs"][0]["targets"]]
    text(stack.url("local-stack", 9325) + "/metrics", {"Host": name})


def healthy(stack):
    return {job for job, (health, _) in stack.prometheus.targets().items() if health == "up"}


@needing()
def health_of_prometheus(stack):
    """Prometheus responds to the request of its health check"""
    *_, url = health_check(stack, "prometheus")
    assert responds(url.replace("http://127.0.0.1:9090", stack.prometheus.url)), url


@needing()
def health_of_the_api(stack):
    """onboarding-api succeeds in its health check while the queue responds, and fails without the service"""
    program, command, url = health_check(stack, "onboarding-api")
    program = stack.programs.services / pathlib.Path(program).name
    same(code(program, command, url.replace("http://127.0.0.1:8080", stack.services.url)), 0, "exit code")
    same(code(program, command, "http://127.0.0.1:9/readyz"), 1, "exit code without the service")


@needing("loki")
def health_of_loki(stack):
    """Loki succeeds in its health check while it runs"""
    check_own_health(stack, "loki", stack.loki.url)


@needing("tempo")
def health_of_tempo(stack):
    """Tempo succeeds in its health check while it runs"""
    check_own_health(stack, "tempo", stack.tempo.url)


def check_own_health(stack, name, url):
    """Checks the health of a program with its own command, at its address and at an unused one."""
    _, *arguments = health_check(stack, name)
    program = getattr(stack.programs, name)
    same(code(program, *arguments, f"-health.url={url}/ready"), 0, "exit code")
    same(code(program, *arguments, "-health.url=http://127.0.0.1:9/ready"), 1, "exit code without the service")


def health_check(stack, name):
    """Returns the command of a health check in the Compose file."""
    kind, *command = stack.compose[name]["healthcheck"]["test"]
    same(kind, "CMD", f"health check of {name}")
    return command


def code(*command):
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS).returncode


@needing("loki")
def log_lines(stack):
    """Loki has the lines of both services, with the ids of trace and span as structured metadata"""
    expected = {(service, text, request.trace): 1 for service, text in LOGGED.items() for request in stack.requests}
    until(lambda: logged(stack) == expected, lambda: f"found {len(logged(stack))} of {len(expected)} lines")
    for line in traced_lines(stack):
        assert "span_id" in line.metadata and not {"trace_id", "span_id", "service_instance_id"} & set(line.labels), line


def logged(stack):
    """Returns the lines that each service logs for a request, with their numbers."""
    lines = [line for line in traced_lines(stack) if line.text in LOGGED.values()]
    return collections.Counter((line.labels["service_name"], line.text, line.metadata["trace_id"]) for line in lines)


def traced_lines(stack):
    """Returns all lines that belong to a trace."""
    return stack.loki.lines('{service_namespace="onboarding"} | trace_id != ""', stack.began)


@needing("tempo")
def traces(stack):
    """Tempo returns each trace with all its spans, and finds it by its service"""
    until(lambda: not missing_spans(stack), lambda: f"missing: {missing_spans(stack)[:5]}")
    ids = {request.trace for request in stack.requests}
    for service in LOGGED:
        query = f'{{resource.service.name="{service}"}}'
        until(lambda query=query: ids <= stack.tempo.search(query), f"{query} does not find all traces")


def missing_spans(stack):
    """Returns the traces that are not the expected chain of spans below the caller's span."""
    missing = []
    for request in stack.requests:
        parent, spans = request.span, stack.tempo.spans(request.trace)
        for expected in EXPECTED_SPANS:
            found = [span for span in spans if (span.service, span.name, span.kind, span.parent) == (*expected, parent)]
            parent = found[0].span if len(found) == 1 else None
        if parent is None or len(spans) != len(EXPECTED_SPANS):
            missing.append((request.trace, spans))
    return missing


@needing("tempo")
def service_graph(stack):
    """Tempo writes the edges between the services to Prometheus, and no metrics of spans"""
    until(lambda: edges(stack) == EDGES, lambda: f"found {edges(stack)}, expected {EDGES}")
    same(stack.prometheus.query('{__name__=~"traces_spanmetrics_.*"}'), [], "span metrics of Tempo")


def edges(stack):
    found = stack.prometheus.query("sum by (client, server, connection_type) (traces_service_graph_request_total)")
    return {(labels["client"], labels["server"], labels["connection_type"]): value for labels, value in found}


@needing()
def retention_of_metrics(stack):
    """Prometheus keeps its data for seven days"""
    same(stack.prometheus.retention(), "1w", "retention")


@needing("loki")
def retention_of_logs(stack):
    """Loki deletes data after seven days"""
    configuration = stack.loki.configuration().splitlines()
    for setting in ("  retention_enabled: true", "  retention_period: 1w"):
        assert setting in configuration, f"expected {setting!r}, found {[line for line in configuration if 'retention_' in line]}"


@needing("tempo")
def retention_of_traces(stack):
    """Tempo deletes data after seven days"""
    periods = [line.split()[1] for line in stack.tempo.configuration().splitlines() if line.strip().startswith("block_retention:")]
    same(periods, ["168h0m0s"] * 2, "retention of the scheduler and the worker")
