"""Metrics that the span metrics connectors create from all spans."""

from bench import same, until
from whole import BATCH, PROCESS

# The prefix of the names in span-metrics-grafana.yaml.
GRAFANA = "traces.span.metrics."

# Units and bucket bounds of `duration`.
SECONDS = ("s", [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15])
MILLISECONDS = ("ms", [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000])


class SpanMetrics:
    """The span metrics with one prefix that a Collector has exported. Their points are cumulative."""

    def __init__(self, collector, prefix, unit_and_bounds):
        self.collector = collector
        self.prefix = prefix
        self.unit_and_bounds = unit_and_bounds

    def latest(self, name, attributes):
        """Returns the newest point of each series that has the attributes."""
        newest = {}
        for point in self.collector.points():
            if point.name == self.prefix + name and attributes.items() <= point.attributes.items():
                newest[point.series] = point
        return list(newest.values())

    def count(self, name, **attributes):
        return sum(point.amount for point in self.latest(name, attributes))

    def check(self, amount, **attributes):
        """Waits until `calls` and `duration` count `amount` spans, and checks that the next export counts the same."""
        counted = lambda: [self.count(name, **attributes) for name in ("calls", "duration")]
        until(lambda: counted() == [amount] * 2, lambda: f"{self.prefix}calls and duration count {counted()} of {amount} {attributes}")
        newest = lambda: max(point.time for point in self.latest("calls", attributes))
        before = newest()
        until(lambda: newest() > before, f"{self.prefix}calls are not exported again")
        same(counted(), [amount] * 2, f"{self.prefix}calls and duration of {attributes}")
        for point in self.latest("calls", attributes):
            same((point.kind, point.is_delta), ("sum", False), point)
        for point in self.latest("duration", attributes):
            same((point.kind, point.is_delta, (point.unit, point.bounds)), ("histogram", False, self.unit_and_bounds), point)


def check_span_metrics(collector, messages):
    """Checks that each message's span is counted once, with the names and attributes that dashboards use."""
    metrics = SpanMetrics(collector, GRAFANA, SECONDS)
    process = {
        "service.name": "onboarding-lambda",
        "span.name": PROCESS,
        "span.kind": "SPAN_KIND_CONSUMER",
        "status.code": "STATUS_CODE_UNSET",
        "messaging.destination.name": "onboarding",
    }
    metrics.check(messages, **process)
    same(metrics.count("calls", **{"span.name": PROCESS}), messages, "messages in the span metrics")
    same(metrics.count("calls", **{"span.name": BATCH}), 0, "batches in the span metrics")
