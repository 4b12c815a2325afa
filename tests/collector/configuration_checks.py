"""Checks of each file of the configuration."""

import itertools
import json
import subprocess
import urllib.error
import urllib.request

from bench import check, same, until
from collector import PORTS, SIDECAR, SIGNALS, Collector
from kubernetes import CLUSTER, DEPLOYMENT, NAMESPACE, NODE, POD, Kubernetes
from outage_checks import LOAD, ONE, handle, sending_to
from services import Services
from sink import BackendRequest, Sink
from span_metrics import GRAFANA, MILLISECONDS, SECONDS, SpanMetrics
from whole import BATCH, FUNCTION, HANDLED, PROCESS, PRODUCER, Arrived, missing_spans

REQUESTS = 20

ROLES = ((), ("gateway",), ("development",))
SPAN_METRICS = ((), ("span-metrics-grafana",), ("span-metrics-coralogix",))

# Values of the variables without a default.
EXAMPLES = {
    "OTLP_ENDPOINT": "https://otlp.example.com",
    "CORALOGIX_DOMAIN": "eu2.coralogix.com",
    "CORALOGIX_PRIVATE_KEY": "key",
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
    "GRAFANA_CLOUD_CREDENTIALS": "MTpr",
    "REMOTE_WRITE_ENDPOINT": "https://mimir.example.com/api/v1/push",
}


@check
def combinations(bench):
    """the Collector accepts each combination of the files"""
    programs, folder = bench.programs, bench.folder()
    backends = sorted(f"backends/{path.stem}" for path in (programs.configuration / "backends").glob("*.yaml"))
    assert len(backends) > 1, backends
    for role, metrics, backend in itertools.product(ROLES, SPAN_METRICS, backends):
        if role == ("development",) and metrics != ("span-metrics-grafana",):
            continue  # development.yaml changes a setting of span-metrics-grafana.yaml.
        # discard.yaml accepts the signals that the backend does not.
        files = ("base", *metrics, *role, backend, "backends/discard")
        same(validation_error(programs, folder, files), "", " ".join(files))


@check
def incomplete(bench):
    """the Collector refuses a configuration without a backend"""
    found = validation_error(bench.programs, bench.folder(), SIDECAR)
    assert "no exporter configuration specified" in found, found


def validation_error(programs, folder, files, variables=EXAMPLES):
    """Returns the Collector's error about a configuration, which is empty if it is valid."""
    options = [f"--config={programs.configuration / name}.yaml" for name in files]
    variables = {"QUEUE_STORAGE": "file_storage", "QUEUE_DIRECTORY": str(folder)} | variables
    return subprocess.run([programs.collector, "validate", *options], env=variables, capture_output=True, text=True).stderr


@check
def own_metrics(bench):
    """the Collector's own metrics count the spans that it received and sent"""
    folder = bench.folder()
    with Collector(bench.programs, folder) as collector:
        with Services(bench.programs, bench.programs.plain, folder, sending_to(collector)) as services:
            handle(services, REQUESTS)
            services.stop()
        Arrived(collector, services).wait()
        spans = len(collector.spans())
        for name in ("otelcol_receiver_accepted_spans_total", "otelcol_exporter_sent_spans_total"):
            until(lambda: own_metric(collector, name) == spans, lambda: f"{name} is {own_metric(collector, name)}, expected {spans}")
        same(own_metric(collector, "otelcol_receiver_refused_spans_total"), 0, "refused spans")


def own_metric(collector, name):
    """Returns the sum over all series of one of the Collector's own metrics."""
    with urllib.request.urlopen(f"http://{collector.host}:{PORTS['metrics']}/metrics", timeout=5) as response:
        lines = response.read().decode().split("\n")
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


# Attributes that a span has, and those that it has after the Collector besides.
CONVENTIONS = [
    ({"http.request.method": "GET", "http.response.status_code": "200"}, {"http.method": "GET", "http.status_code": "200"}),
    ({"http.method": "GET", "http.status_code": "200"}, {"http.request.method": "GET", "http.response.status_code": "200"}),
    ({"url.full": "https://example.com/a", "url.path": "/a"}, {"http.url": "https://example.com/a", "http.target": "/a"}),
    (
        {"db.system.name": "aws.dynamodb", "db.collection.name": "customers"},
        {"db.system": "aws.dynamodb", "db.namespace": "customers", "db.name": "customers"},
    ),
    ({"db.system": "mysql", "db.name": "shop"}, {"db.system.name": "mysql", "db.namespace": "shop"}),
]


@check
def conventions(bench):
    """spans receive the attributes of the older and of the newer conventions, and all signals both names of the environment"""
    with Collector(bench.programs, bench.folder(), files=("base",)) as collector:
        for name, given in (("deployment.environment", "deployment.environment.name"), ("deployment.environment.name", "deployment.environment")):
            resource = {"attributes": attributes({given: name})}
            spans = [span(number, sent) for number, (sent, _) in enumerate(CONVENTIONS)]
            post(collector, "traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
            post(collector, "logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [{"body": {"stringValue": "line"}}]}]}]})
            gauge = {"name": "gauge", "gauge": {"dataPoints": [{"asInt": "1", "timeUnixNano": "1"}]}}
            post(collector, "metrics", {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [gauge]}]}]})
        collector.stop()
        items = [*collector.spans(), *collector.records(), *collector.points()]
        same(len(items), 2 * (len(CONVENTIONS) + 2), "received items")
        for item in items:
            environment = item.resource["deployment.environment"]
            same(item.resource, dict.fromkeys(("deployment.environment", "deployment.environment.name"), environment), item)
        for found in collector.spans():
            sent, added = CONVENTIONS[int(found.name)]
            same(found.attributes, sent | added, found)


def span(number, sent):
    """Returns a span whose name is a number."""
    ids = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": f"eee19b7ec3c1b17{number}"}
    return ids | {"name": str(number), "kind": 3, "startTimeUnixNano": "1", "endTimeUnixNano": "2", "attributes": attributes(sent)}


def attributes(values):
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def post(collector, signal, body):
    """Sends one request in OTLP's JSON, which must be accepted."""
    request = urllib.request.Request(f"{collector.endpoint('http')}/v1/{signal}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        same(json.load(response), {"partialSuccess": {}}, signal)


@check
def sampling(bench):
    """sampled traces are complete, and the span metrics count every message"""
    folder = bench.folder()
    with Collector(bench.programs, folder, variables={"TRACES_SAMPLING_PERCENTAGE": "50"}) as collector:
        with Services(bench.programs, bench.programs.plain, folder, sending_to(collector)) as services:
            handle(services, 2 * REQUESTS)
            services.stop()
        SpanMetrics(collector, GRAFANA, SECONDS).check(2 * REQUESTS, **{"span.name": PROCESS})
        collector.stop()
        traces = {span.trace for span in collector.spans()}
        sampled = [request for request in services.requests if request.trace in traces]
        # Batch spans have traces of their own, which are sampled too.
        missing = [item for item in missing_spans(sampled, collector.spans()) if BATCH not in item]
        same(missing, [], "missing spans of the exported traces")
        # The probability of all or none is 2 in 10^12.
        assert 0 < len(sampled) < 2 * REQUESTS, f"{len(sampled)} of {2 * REQUESTS} traces are exported"
        same(len([record for record in collector.records() if record.body == HANDLED]), 2 * REQUESTS, "log records")


@check
def coralogix_span_metrics(bench):
    """the span metrics for Coralogix count each request, message and database call once"""
    folder = bench.folder()
    with Collector(bench.programs, folder, files=("base", "span-metrics-coralogix")) as collector:
        variables = sending_to(collector) | {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.version=1.2.3"}
        with Services(bench.programs, bench.programs.plain, folder, variables) as services:
            handle(services, REQUESTS)
            services.stop()
        operations, compact, databases, database = (
            SpanMetrics(collector, prefix, MILLISECONDS) for prefix in ("", "compact.", "db.", "db_compact.")
        )
        labels = {"service.version": "1.2.3", "deployment.environment": "test", "status.code": "STATUS_CODE_UNSET"}
        api, function = {"service.name": PRODUCER}, {"service.name": FUNCTION}
        request = {"span.kind": "SPAN_KIND_SERVER", "http.method": "POST", "http.status_code": 202}
        operations.check(REQUESTS, **api, **labels, **request, **{"span.name": "POST /onboarding"})
        message = {"span.kind": "SPAN_KIND_CONSUMER", "messaging.destination.name": "onboarding"}
        operations.check(REQUESTS, **function, **labels, **message, **{"span.name": PROCESS})
        compact.check(REQUESTS, **api, **{"span.kind": "SPAN_KIND_SERVER"})
        # The count excludes batch spans, although these metrics have no attribute span.name.
        compact.check(REQUESTS, **function, **{"span.kind": "SPAN_KIND_CONSUMER"})
        table = {"db.system": "memory", "db.namespace": "onboardings"}
        databases.check(REQUESTS, **function, **table, **{"span.name": "put onboardings", "db.operation.name": "put"})
        database.check(REQUESTS, **function, **table)
        for metrics, names in ((compact, {"span.kind"}), (database, {"db.system", "db.namespace"})):
            for point in metrics.latest("calls", {}):
                same(set(point.attributes), {"service.name", "status.code", "collector.instance.id", *names}, point)
                same(set(point.resource), {"service.name", "deployment.environment.name"}, point)
        # The services and their calls: two each, and one series for the store.
        same((len(compact.latest("calls", {})), len(database.latest("calls", {}))), (4, 1), "compact series")
        Arrived(collector, services).wait()
        same(operations.count("calls", **{"span.name": BATCH}), 0, "batches in the span metrics")
        same(databases.count("calls"), REQUESTS, "all calls to databases")
        same(len([record for record in collector.records() if record.body == HANDLED]), REQUESTS, "log records")


@check
def coralogix(bench):
    """Coralogix receives all three signals with the names of application and subsystem, and no deltas"""
    folder, variables = bench.folder(), {"CORALOGIX_DOMAIN": "eu2.coralogix.com", "CORALOGIX_PRIVATE_KEY": "key"}
    files = ("base", "span-metrics-coralogix", "backends/coralogix")
    with Collector(bench.programs, bench.folder(), files=("base",)) as backend:
        redirected = {"exporters": {"otlp_grpc/coralogix": {"endpoint": backend.endpoint("grpc", ""), "tls": {"insecure": True}}}}
        with Collector(bench.programs, folder, lambda _: redirected, files=files, variables=variables) as collector:
            exporter = collector.configured()["exporters"]["otlp_grpc/coralogix"]
            same(exporter["endpoint"], "ingress.eu2.coralogix.com:443", "endpoint")
            same(exporter["headers"], [{"name": "authorization", "value": "Bearer key"}], "headers")
            named = {"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=onboarding"}
            with Services(bench.programs, bench.programs.plain, folder, sending_to(collector) | named, ONE) as services:
                handle(services, REQUESTS)
                services.stop()
            SpanMetrics(backend, "", MILLISECONDS).check(REQUESTS, **{"span.name": PROCESS})
            until(lambda: not missing_spans(services.requests, backend.spans()), lambda: missing_spans(services.requests, backend.spans()))
            process_duration = SpanMetrics(backend, "messaging.process.", None)
            until(lambda: process_duration.count("duration") == REQUESTS, lambda: f"the function's metrics count {process_duration.count('duration')} messages")
            collector.stop()
        backend.stop()
        same([point for point in backend.points() if point.is_delta], [], "deltas")
        for item in (*backend.spans(), *backend.records(), *backend.points()):
            names = (item.resource.get("cx.application.name"), item.resource.get("cx.subsystem.name"))
            same(names, ("onboarding", item.resource["service.name"]), item)


@check
def http_backends(bench):
    """each backend receives its signals at the paths of its API, with its authorization"""
    with Sink() as sink:
        variables = {
            "OTLP_ENDPOINT": sink.url("/otlp"),
            "OTLP_AUTHORIZATION": "Bearer otlp",
            "GRAFANA_CLOUD_OTLP_ENDPOINT": sink.url("/grafana"),
            "GRAFANA_CLOUD_CREDENTIALS": "MTpncmFmYW5h",
            "TEMPO_ENDPOINT": sink.url("/tempo"),
            "LOKI_ENDPOINT": sink.url("/loki"),
            "PROMETHEUS_ENDPOINT": sink.url("/prometheus"),
            "REMOTE_WRITE_ENDPOINT": sink.url("/remote"),
            "REMOTE_WRITE_AUTHORIZATION": "Bearer remote",
        }
        wanted = {
            *(BackendRequest(f"/otlp/v1/{signal}", "Bearer otlp") for signal in SIGNALS),
            *(BackendRequest(f"/grafana/v1/{signal}", "Basic MTpncmFmYW5h") for signal in SIGNALS),
            BackendRequest("/tempo/v1/traces", ""),
            BackendRequest("/loki/v1/logs", ""),
            BackendRequest("/prometheus/v1/metrics", ""),
            BackendRequest("/remote", "Bearer remote"),
        }
        backends = ("otlp", "grafana-cloud", "tempo", "loki", "prometheus", "prometheus-remote-write", "debug")
        files = (*SIDECAR, *(f"backends/{name}" for name in backends))
        folder = bench.folder()
        with Collector(bench.programs, folder, files=files, variables=variables) as collector:
            with Services(bench.programs, bench.programs.plain, folder, sending_to(collector)) as services:
                handle(services, REQUESTS)
                services.stop()
            until(lambda: wanted <= set(sink.received), lambda: f"missing: {wanted - set(sink.received)}")
            collector.stop()
        same(set(sink.received), wanted, "requests")
        for line in ("Traces", "Metrics", "Logs"):
            assert f"\t{line}\t" in collector.log.read_text(), f"the debug exporter logs no {line}"


@check
def gateway(bench):
    """a gateway that is killed while its backend is down sends everything that it had accepted, once"""
    folder = bench.folder()
    variables = {"QUEUE_STORAGE": "file_storage", "QUEUE_DIRECTORY": str(folder / "queue"), "HOSTNAME": "gateway-1"}
    refused = validation_error(bench.programs, folder, ("base", "gateway", "backends/otlp"), EXAMPLES | {"QUEUE_STORAGE": ""})
    assert "extension" in refused, f"a gateway without QUEUE_STORAGE is accepted: {refused}"
    with Collector(bench.programs, folder, files=("base",)) as backend:
        with Collector(bench.programs, bench.folder(), backend=backend, files=("base", "gateway"), variables=variables) as collector:
            backend.stop()
            with Services(bench.programs, bench.programs.plain, folder, sending_to(collector)) as services:
                handle(services, LOAD)
                services.stop()
            # docs/operate.md tells readers to look for this message.
            until(lambda: "Exporting failed" in collector.log.read_text(), "the Collector does not log that its backend is down")
            collector.kill()
            same(backend.spans(), [], "spans before the restart")
            backend.start()
            collector.start()
            arrived = Arrived(backend, services)
            arrived.wait()
            collector.stop()
        backend.stop()
        arrived.check_whole()
        arrived.check_once()
        same({point.attributes.get("collector.instance.id") for point in backend.points()}, {"gateway-1"}, "gateways in the metrics")


@check
def full_queue(bench):
    """a queue that is full before the memory limit is reached: other backends and the span metrics receive refused spans repeatedly"""
    variables = {"OTLP_ENDPOINT": "http://127.0.0.1:9", "QUEUE_BYTES": "1000"}
    files = (*SIDECAR, "backends/otlp")
    with Collector(bench.programs, bench.folder(), files=files, variables=variables, to_files=True) as collector:
        # The backend at OTLP_ENDPOINT is down. Its queue accepts a few spans, but not all of these.
        accepted = list(itertools.takewhile(lambda number: post_span(collector, number), range(RETRIED)))
        assert 0 < len(accepted) < RETRIED, f"{len(accepted)} spans are accepted"
        for _ in range(2):
            assert not post_span(collector, len(accepted)), "the refused span is accepted"
        # The limits that infra/README.md states: the span has been sent three times.
        received = lambda: [int(found.name) for found in collector.spans()]
        wanted = [*accepted, *[len(accepted)] * 3]
        until(lambda: received() == wanted, lambda: f"the other backend has received {received()}, expected {wanted}")
        SpanMetrics(collector, GRAFANA, SECONDS).check(3, **{"span.name": str(len(accepted))})


# More spans than the queue in `full_queue` accepts. The id of a span has one digit for its number.
RETRIED = 10


def post_span(collector, number):
    """Sends a span, and returns whether it is accepted. Otherwise, the status must be 503, which tells the sender to retry."""
    resource, spans = {"attributes": attributes({"service.name": "orders"})}, [span(number, {"text": "x" * 200})]
    try:
        post(collector, "traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]})
    except urllib.error.HTTPError as error:
        same(error.code, 503, "status of a refused span")
        return False
    return True


@check
def agent(bench):
    """an agent adds the names of pod, namespace, deployment, node and cluster, and reports metrics of pod and node"""
    folder = bench.folder()
    with Kubernetes() as kubernetes:
        (folder / "kubeconfig").write_text(kubernetes.configuration())
        variables = {"K8S_NODE_NAME": NODE, "K8S_CLUSTER_NAME": CLUSTER, "HOST_ROOT": "/", "KUBECONFIG": str(folder / "kubeconfig")}
        # A service account exists only in a pod.
        outside_a_pod = {
            "processors": {"k8s_attributes": {"auth_type": "kubeConfig"}},
            "receivers": {
                "kubelet_stats": {"auth_type": "none", "endpoint": f"http://{kubernetes.server.address}", "collection_interval": "1s"},
                "host_metrics": {"collection_interval": "1s"},
            },
        }
        files = ("base", "agent", "span-metrics-coralogix")
        with Collector(bench.programs, folder, lambda _: outside_a_pod, files=files, variables=variables) as collector:
            with Services(bench.programs, bench.programs.plain, folder, sending_to(collector)) as services:
                handle(services, REQUESTS)
                services.stop()
            SpanMetrics(collector, "", MILLISECONDS).check(REQUESTS, **{"span.name": PROCESS, "k8s.pod.name": POD, "k8s.deployment.name": DEPLOYMENT})
            arrived = Arrived(collector, services)
            arrived.wait()
            names = lambda: {point.name for point in collector.points()}
            measured = {"k8s.pod.cpu.usage", "k8s.pod.memory.working_set", "k8s.node.cpu.usage", "system.cpu.time", "system.network.io"}
            until(lambda: measured <= names(), lambda: f"missing: {measured - names()}")
            collector.stop()
        arrived.check_once()
        wanted = {
            "k8s.pod.name": POD,
            "k8s.namespace.name": NAMESPACE,
            "k8s.deployment.name": DEPLOYMENT,
            "k8s.node.name": NODE,
            "k8s.cluster.name": CLUSTER,
        }
        # The compact metrics distinguish services, not pods.
        other = ("k8s.node.", "system.", "compact.", "db_compact.")
        of_pods = [point for point in collector.points() if not point.name.startswith(other)]
        for item in (*collector.spans(), *collector.records(), *of_pods):
            same({name: item.resource.get(name) for name in wanted}, wanted, item)
