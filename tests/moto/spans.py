"""An OTLP receiver that records every span."""

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
        self.attributes = {pair.key: value_of(pair.value) for pair in wire.attributes}

    def __repr__(self):
        return f"{self.name} {self.attributes}"


class Receiver:
    """Records spans until `take_spans` removes them, so that each check sees only its own spans."""

    def __init__(self):
        self.spans = []
        self.text = ""
        self.server = Server(Traces, self)

    def take_spans(self):
        """Removes and returns the recorded spans, by the first word of their names."""
        spans, self.spans = self.spans, []
        found = {}
        for span in spans:
            found.setdefault(span.name.split()[0], []).append(span)
        return found


class Traces(Handler):
    def do_POST(self):
        request = ExportTraceServiceRequest()
        request.ParseFromString(self.body())
        receiver = self.server.owner
        receiver.text += str(request)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                receiver.spans += map(Span, scope.spans)
        self.respond(200)


def value_of(value):
    """Converts an attribute's value to a Python value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind)
