"""Checks of the rendered agent's configuration in the real Collector, with the components that need neither a cluster
nor Coralogix: the receiver, the transforms and filters, the connectors of the span metrics, and the conversion of deltas.

Needs the modules in tests/collector.
"""

import contextlib
import json
import pathlib
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import helm_checks
import received
import yaml

LIMIT_SECONDS = 45
# Types of processors that run here. The others read the cluster, the node or the cloud, batch, or are Coralogix' own.
PROCESSORS = {"deltatocumulative", "filter", "memory_limiter", "transform"}
SIGNALS = ("traces", "metrics")
# What the pod of the onboarding API sends, and `k8sattributes` adds.
RESOURCE = {
    "service.name": "onboarding-api",
    "service.version": "1.4.0",
    "deployment.environment.name": "staging",
    "k8s.namespace.name": "onboarding",
    "k8s.deployment.name": "onboarding-api",
    "k8s.pod.name": "onboarding-api-5d9c7-x2b4q",
    "k8s.node.name": "node-1",
}
REQUEST = {"http.request.method": "POST", "http.response.status_code": 202}
STATEMENT = {"db.system.name": "aws.dynamodb", "db.operation.name": "PutItem", "db.collection.name": "customers"}
SERVER, CLIENT = 2, 3
DELTA = 1
# The labels of a request in Coralogix' views, and those of a call to the database.
REQUEST_LABELS = {
    "service.name": "onboarding-api",
    "span.name": "POST /onboarding",
    "http.method": "POST",
    "http.status_code": 202,
    "service.version": "1.4.0",
    "deployment.environment": "staging",
    "k8s.namespace.name": "onboarding",
    "k8s.deployment.name": "onboarding-api",
    "k8s.pod.name": "onboarding-api-5d9c7-x2b4q",
}
DATABASE_LABELS = {"db.system": "aws.dynamodb", "db.namespace": "customers", "db.operation.name": "PutItem"}


def runs_here(component):
    return component.partition("/")[0] in PROCESSORS


def reduced(agent, folder, port):
    """Returns the agent's configuration without the components that cannot run here. Files replace Coralogix."""
    pipelines = {}
    for name, parts in agent["service"]["pipelines"].items():
        own = name.partition("/")[0]
        if own in SIGNALS:
            pipelines[name] = {
                "receivers": [receiver for receiver in parts["receivers"] if receiver == "otlp" or receiver in agent["connectors"]],
                "processors": [processor for processor in parts["processors"] if runs_here(processor)],
                "exporters": [f"file/{own}" if exporter == "coralogix" else exporter for exporter in parts["exporters"]],
            }
    used = {processor for parts in pipelines.values() for processor in parts["processors"]}
    frequent = {"metrics_flush_interval": "200ms"}
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {name: agent["processors"][name] for name in sorted(used)},
        "connectors": {name: {**(settings or {}), **(frequent if name.startswith("spanmetrics") else {})} for name, settings in agent["connectors"].items()},
        "exporters": {f"file/{name}": {"path": str(folder / f"{name}.json"), "append": True, "flush_interval": "20ms"} for name in SIGNALS},
        # The Collector's own metrics would need a port.
        "service": {"telemetry": {"metrics": {"level": "none"}}, "pipelines": pipelines},
    }


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def agent_of(files, collector, change=None):
    """Runs the reduced agent, and yields its folder and the URL of its receiver."""
    with tempfile.TemporaryDirectory() as folder:
        folder, port = pathlib.Path(folder), free_port()
        configuration = folder / "agent.yaml"
        text = yaml.safe_dump(reduced(files.collector(helm_checks.AGENT), folder, port))
        configuration.write_text(change(text) if change else text)
        log = folder / "log"
        with log.open("w") as output:
            process = subprocess.Popen([collector, f"--config={configuration}"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            until(lambda: process.poll() is not None or listens(port), lambda: f"the Collector does not listen: {log.read_text()[-2000:]}")
            assert process.poll() is None, f"the Collector exited: {log.read_text()[-2000:]}"
            yield folder, f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(condition, what):
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


def attributes(values):
    return [{"key": name, "value": {"intValue": value} if isinstance(value, int) else {"stringValue": value}} for name, value in values.items()]


def send(url, signal_name, request):
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/{signal_name}", json.dumps(request).encode(), headers), timeout=10) as response:
        assert response.status == 200, response.status


def span(name, kind, values):
    now = time.time_ns()
    ids = {"traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8)}
    return ids | {"name": name, "kind": kind, "startTimeUnixNano": str(now - 20_000_000), "endTimeUnixNano": str(now), "attributes": attributes(values)}


def send_telemetry(url):
    """Sends a request's span, a database call's span, and a counter as two deltas."""
    resource = {"attributes": attributes(RESOURCE)}
    spans = [span("POST /onboarding", SERVER, REQUEST), span("PutItem customers", CLIENT, STATEMENT)]
    send(url, "traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
    start = time.time_ns() - 10**9
    for index in range(2):
        point = {"startTimeUnixNano": str(start + index * 10**8), "timeUnixNano": str(start + (index + 1) * 10**8), "asInt": "3"}
        counter = {"name": "requests", "sum": {"aggregationTemporality": DELTA, "isMonotonic": True, "dataPoints": [point]}}
        send(url, "metrics", {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [counter]}]}]})


def has(point, name, labels):
    return point.name == name and point.attributes.items() >= labels.items()


WANTED = {
    "calls of the request": lambda point: has(point, "calls", REQUEST_LABELS) and point.amount == 1,
    "duration of the request": lambda point: has(point, "duration", REQUEST_LABELS) and point.unit == "ms" and point.sum >= 20,
    "compact calls": lambda point: has(point, "compact.calls", {"service.name": "onboarding-api", "span.kind": "SPAN_KIND_SERVER"}) and "span.name" not in point.attributes,
    "database calls": lambda point: has(point, "db.calls", DATABASE_LABELS),
    "compact database calls": lambda point: has(point, "db_compact.calls", {"db.system": "aws.dynamodb", "db.namespace": "customers"}),
    "sum of the deltas": lambda point: point.name == "requests" and point.amount == 6,
}


def missing_metrics(files, collector, change=None, absent=()):
    """Returns the metrics that the Collector has not exported after all others but `absent`."""
    with agent_of(files, collector, change) as (folder, url):
        send_telemetry(url)
        received_metrics = folder / "metrics.json"

        def missing():
            found = received.points(received_metrics)
            return [name for name, wanted in WANTED.items() if not any(wanted(point) for point in found)]

        def report():
            found = {(point.name, json.dumps(point.attributes)) for point in received.points(received_metrics)}
            return f"missing: {missing()}; found: {sorted(found)}"

        until(lambda: set(missing()) <= set(absent), report)
        # Several times the interval of the span metrics.
        time.sleep(1)
        deltas = {point.name for point in received.points(received_metrics) if point.is_delta}
        return missing(), deltas


def the_span_metrics_arrive(files, collector):
    """The rendered agent's span metrics run in the Collector, with every label that Coralogix reads, and no deltas are left."""
    missing, deltas = missing_metrics(files, collector)
    assert not missing and not deltas, f"missing: {missing}; deltas: {deltas}"


def a_duplicate_dimension_stops_the_collector(files, collector):
    """A dimension that is listed twice stops the Collector, as the values say."""
    try:
        missing_metrics(files, collector, lambda text: replaced(text, "- name: error.type", "- name: service.version"))
    except AssertionError as error:
        assert 'duplicate dimension name "service.version"' in str(error), error
    else:
        raise AssertionError("the Collector has started")


CHECKS = [the_span_metrics_arrive, a_duplicate_dimension_stops_the_collector]

# Texts of the configuration, replacements, and the metrics that are then missing.
MISTAKES = [
    ("- name: k8s.pod.name", "- name: pod", ["calls of the request", "duration of the request"]),
    ('set(span.attributes["http.status_code"]', 'set(span.attributes["status"]', ["calls of the request", "duration of the request"]),
    ('set(span.attributes["db.system"]', 'set(span.attributes["system"]', ["database calls", "compact database calls"]),
    ("      - deltatocumulative\n", "", ["sum of the deltas"]),
    ("unit: ms", "unit: s", ["duration of the request"]),
]


def replaced(configuration, text, replacement):
    if text not in configuration:
        raise ValueError(f"the configuration does not contain {text}")
    return configuration.replace(text, replacement)


def a_mistake_is_detected(files, collector, text, replacement, absent):
    missing, _ = missing_metrics(files, collector, lambda configuration: replaced(configuration, text, replacement), absent)
    assert missing == absent, f"missing: {missing}, expected {absent}"


def results(root, collector):
    """Yields the title of each check and its complaints. `collector` is the path of the Collector that the suites build."""
    files = helm_checks.read(root, [])
    for check in CHECKS:
        yield f"Coralogix' chart: {check.__doc__}", complaints(check, files, collector)
    for mistake in MISTAKES:
        text, replacement, _ = mistake
        yield f"Coralogix' chart: detects {replacement!r} in place of {text!r}", complaints(a_mistake_is_detected, files, collector, *mistake)


def complaints(check, *arguments):
    try:
        check(*arguments)
    except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []
