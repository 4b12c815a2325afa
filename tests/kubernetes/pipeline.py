"""The programs of the overlay `local` without containers: both services, the real Collector, and servers that answer the
queries of Tempo, Loki and Prometheus with what the Collector has received."""

import contextlib
import json
import socket
import urllib.parse
import urllib.request
from typing import NamedTuple

from collector import Collector
from overlay import variables
from servers import Handler, Server
from services import Services

# What the kubelet would set.
POD = {"metadata.name": "onboarding-api-0", "metadata.uid": "0", "status.podIP": "10.0.0.1", "metadata.namespace": "onboarding", "spec.nodeName": "node-1"}


class Paths(NamedTuple):
    """Paths of the programs. The names are those that tests/collector uses."""

    collector: object
    baton: object
    services: object
    configuration: object


class Pipeline:
    """The programs during a `with` block."""

    def __init__(self, paths, folder, overlay):
        self.paths, self.folder = paths, folder
        workload = overlay.workload("onboarding-api")
        found = variables(overlay, workload, workload.pod["containers"][0])
        # The local stack gives the API its address and the queue's.
        names = [name for name in found if name.startswith(("K8S_", "OTEL_RESOURCE"))]
        self.variables = {name: found[name] if isinstance(found[name], str) else POD[found[name]["fieldRef"]["fieldPath"]] for name in names}
        self.running = contextlib.ExitStack()
        # Names of what the servers leave out, to see the scripts fail.
        self.hidden = set()

    def __enter__(self):
        self.collector = self.running.enter_context(Collector(self.paths, self.folder, to_files=True))
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint("http")}
        self.queue_metrics = free_port()
        options = [f"--metrics-address=127.0.0.1:{self.queue_metrics}"]
        self.services = self.running.enter_context(Services(self.paths, self.paths.services, self.folder, self.variables | endpoint, options))
        self.backend = Server(Queries, self)
        self.running.callback(self.backend.close)
        self.metrics = Server(Metrics, self)
        self.running.callback(self.metrics.close)
        return self

    def __exit__(self, *_):
        self.running.close()

    def ports(self):
        """Returns the local port for each port of a pod or Service."""
        api = urllib.parse.urlsplit(self.services.url).port
        return {"onboarding-api:8080": api, "tempo:3200": self.backend.server_port, "collector-agent:8888": self.metrics.server_port, "local-stack:9325": self.queue_metrics}

    def send_dead_letter(self):
        """Sends a message to the dead-letter queue, because a failed message is only moved there after a minute."""
        message = {"QueueUrl": f"{self.services.sqs}/000000000000/onboarding-dlq", "MessageBody": "not an onboarding"}
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
        urllib.request.urlopen(urllib.request.Request(self.services.sqs, json.dumps(message).encode(), headers), timeout=10).close()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Metrics(Handler):
    """The Collector's own metrics. The Collector listens on an address that kubectl port-forward never prints."""

    def do_GET(self):
        pipeline = self.server.owner
        with urllib.request.urlopen(f"http://{pipeline.collector.host}:8888/metrics", timeout=10) as response:
            text = response.read().decode()
        if "accepted spans" in pipeline.hidden:
            text = "".join(line for line in text.splitlines(keepends=True) if "accepted_spans" not in line)
        self.respond(200, text.encode())


class Queries(Handler):
    """The answers of Tempo, Loki and Prometheus, in the form that each has."""

    def do_GET(self):
        pipeline, address = self.server.owner, urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(address.query).get("query", [""])[0]
        if address.path.startswith("/api/traces/"):
            answer = self.trace(pipeline, address.path.rpartition("/")[2])
        elif address.path == "/loki/api/v1/query_range":
            trace = query.split('trace_id="')[1].split('"')[0]
            lines = [] if "logs" in pipeline.hidden else [record.body for record in pipeline.collector.records() if record.trace == trace]
            answer = {"status": "success", "data": {"resultType": "streams", "result": [{"stream": {}, "values": [["1", line] for line in lines]}] if lines else []}}
        elif address.path == "/api/v1/query":
            answer = self.span_metrics(pipeline, query)
        else:
            answer = None
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.respond(200 if answer else 404, body if answer else b"trace not found", {"content-type": "application/json"})

    def trace(self, pipeline, trace):
        spans = [span for span in pipeline.collector.spans() if span.trace == trace and span.name not in pipeline.hidden]
        return {"batches": [batch(span, pipeline.hidden) for span in spans]} if spans else None

    def span_metrics(self, pipeline, query):
        name = query.split('span_name="')[1].split('"')[0]
        latest = {}
        for point in pipeline.collector.points():
            if point.name.endswith("calls") and point.attributes.get("span.name") == name and "span metrics" not in pipeline.hidden:
                latest[point.series] = point.amount
        result = [{"metric": {}, "value": [1, str(sum(latest.values()))]}] if latest else []
        return {"status": "success", "data": {"resultType": "vector", "result": result}}


def batch(span, hidden):
    attributes = [{"key": key, "value": {"stringValue": str(value)}} for key, value in span.resource.items() if key not in hidden]
    return {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": {}, "spans": [{"name": span.name}]}]}
