"""The files that the Collector wrote (one OTLP/JSON request per line), as spans, log records and metrics."""

import json

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


class Span:
    """The parts of a span that the checks use."""

    def __init__(self, wire, resource):
        self.trace, self.id, self.parent = wire["traceId"], wire["spanId"], wire.get("parentSpanId", "")
        self.name = wire["name"]
        self.kind = KINDS[wire.get("kind", 0)]
        self.links = [(link["traceId"], link["spanId"]) for link in wire.get("links", [])]
        self.attributes = attributes_of(wire)
        self.resource = resource

    @property
    def key(self):
        """The ids that identify the span."""
        return self.trace, self.id

    def __repr__(self):
        return f"{self.name} {self.trace}/{self.id}"


class Record:
    """A log record."""

    def __init__(self, wire, resource):
        self.trace, self.span = wire.get("traceId", ""), wire.get("spanId", "")
        self.severity = wire.get("severityText", "")
        self.body = value_of(wire.get("body", {}))
        self.attributes = attributes_of(wire)
        self.resource = resource

    def __repr__(self):
        return f"{self.body!r} {self.trace}/{self.span} {self.attributes}"


class Point:
    """A data point of a metric. `amount` is the value of a sum, or the number of values in a histogram."""

    def __init__(self, metric, kind, wire, resource):
        self.name, self.unit = metric["name"], metric.get("unit", "")
        self.kind = kind
        # 1 is delta, 2 is cumulative.
        self.is_delta = metric[kind].get("aggregationTemporality") == 1
        self.amount = int(wire["count"]) if kind == "histogram" else number_of(wire)
        self.sum = wire.get("sum")
        self.bounds = wire.get("explicitBounds", [])
        self.start, self.time = int(wire.get("startTimeUnixNano", 0)), int(wire["timeUnixNano"])
        self.attributes = attributes_of(wire)
        self.resource = resource

    @property
    def series(self):
        """The identity of the time series."""
        identity = {"name": self.name, "resource": self.resource, "attributes": self.attributes}
        return json.dumps(identity, sort_keys=True)

    def __repr__(self):
        return f"{self.name} {self.amount} {self.attributes}"


def spans(path):
    """Returns the spans in a file."""
    return [
        Span(wire, attributes_of(part.get("resource", {})))
        for request in requests(path)
        for part in request.get("resourceSpans", [])
        for scope in part["scopeSpans"]
        for wire in scope["spans"]
    ]


def records(path):
    """Returns the log records in a file."""
    return [
        Record(wire, attributes_of(part.get("resource", {})))
        for request in requests(path)
        for part in request.get("resourceLogs", [])
        for scope in part["scopeLogs"]
        for wire in scope["logRecords"]
    ]


def points(path):
    """Returns the data points of all metrics in a file."""
    return [
        Point(metric, kind, wire, attributes_of(part.get("resource", {})))
        for request in requests(path)
        for part in request.get("resourceMetrics", [])
        for scope in part["scopeMetrics"]
        for metric in scope["metrics"]
        for kind in ("sum", "gauge", "histogram")
        if kind in metric
        for wire in metric[kind].get("dataPoints", [])
    ]


def requests(path):
    """Returns the requests in a file, except one that is still being written."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1] if line]


def attributes_of(owner):
    """Returns the attributes as Python values."""
    return {pair["key"]: value_of(pair.get("value", {})) for pair in owner.get("attributes", [])}


def value_of(value):
    """Converts a value; OTLP/JSON encodes 64-bit integers as strings."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [value_of(item) for item in value["arrayValue"].get("values", [])]
    return next(iter(value.values()), None)


def number_of(point):
    """Returns the value of a sum or a gauge."""
    return int(point["asInt"]) if "asInt" in point else point.get("asDouble", 0)
