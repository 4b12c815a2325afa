"""An OTLP receiver that records every span and every data point of a histogram."""

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from servers import Handler, Server


class Span:
    """The parts of a span that the checks use."""

    def __init__(self, wire):
        self.name = wire.name
        self.id, self.parent, self.trace = wire.span_id, wire.parent_span_id, wire.trace_id
        self.is_client = wire.kind == Wire.SPAN_KIND_CLIENT
        self.failed = wire.status.code == Status.STATUS_CODE_ERROR
        self.attributes = attributes_of(wire.attributes)

    def __repr__(self):
        return f"{self.name} {self.attributes}"


class Receiver:
    """Records telemetry until `take_spans` or `take_durations` removes it, so that each check sees only its own."""

    def __init__(self):
        self.spans = []
        self.durations = []
        self.text = ""
        self.server = Server(Otlp, self)

    def take_spans(self):
        """Removes and returns the recorded spans, by the first word of their names."""
        spans, self.spans = self.spans, []
        found = {}
        for span in spans:
            found.setdefault(span.name.split()[0], []).append(span)
        return found

    def take_durations(self, name):
        """Removes the recorded histograms, and returns the attributes and the count of each data point of one metric."""
        durations, self.durations = self.durations, []
        return [(attributes, count) for metric, attributes, count in durations if metric == name]


class Otlp(Handler):
    def do_POST(self):
        receiver = self.server.owner
        if self.path == "/v1/metrics":
            request = ExportMetricsServiceRequest.FromString(self.body())
            scopes = (scope for resource in request.resource_metrics for scope in resource.scope_metrics)
            for metric in (metric for scope in scopes for metric in scope.metrics):
                receiver.durations += [
                    (metric.name, attributes_of(point.attributes), point.count) for point in metric.histogram.data_points
                ]
        else:
            request = ExportTraceServiceRequest.FromString(self.body())
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    receiver.spans += map(Span, scope.spans)
        receiver.text += str(request)
        self.respond(200)


def attributes_of(pairs):
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value):
    """Converts an attribute's value to a Python value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind)
