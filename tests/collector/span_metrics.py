"""Metrics that the span metrics connector creates from all spans."""

from bench import same, until
from whole import BATCH, PROCESS, SPAN_METRICS

CALLS, DURATION = SPAN_METRICS + "calls", SPAN_METRICS + "duration"

# The first and last bucket boundary of the configuration, in seconds.
FIRST_BOUND, LAST_BOUND = 0.002, 15.0


def latest(collector, name, span_name):
    """Returns the newest point of each series of a span metric. The points are cumulative."""
    newest = {}
    for point in collector.points():
        if (point.name, point.attributes.get("span.name")) == (name, span_name):
            newest[str(sorted(point.attributes.items()))] = point
    return list(newest.values())


def count(collector, name, span_name):
    return sum(point.amount for point in latest(collector, name, span_name))


def check_span_metrics(collector, messages):
    """Checks that each message's span is counted once, with the names and attributes that dashboards use."""
    counted = lambda: [count(collector, name, PROCESS) for name in (CALLS, DURATION)]
    until(lambda: counted() == [messages] * 2, lambda: f"span metrics count {counted()} of {messages} messages")
    # Wait for another export, which would contain spans that are counted twice.
    before = latest(collector, CALLS, PROCESS)[0].time
    until(lambda: latest(collector, CALLS, PROCESS)[0].time > before, "the span metrics are not exported again")
    same(counted(), [messages] * 2, "messages in the span metrics")
    batches = len({span.key for span in collector.spans() if span.name == BATCH})
    same(count(collector, CALLS, BATCH), batches, "batches in the span metrics")
    for point in latest(collector, CALLS, PROCESS):
        same((point.kind, point.is_delta), ("sum", False), CALLS)
        found = {name: point.attributes.get(name) for name in ("service.name", "span.kind", "status.code", "messaging.destination.name")}
        same(found["service.name"], "onboarding-lambda", CALLS)
        same(found["span.kind"], "SPAN_KIND_CONSUMER", CALLS)
        same(found["status.code"], "STATUS_CODE_UNSET", CALLS)
        same(found["messaging.destination.name"], "onboarding", CALLS)
    for point in latest(collector, DURATION, PROCESS):
        same((point.unit, point.bounds[0], point.bounds[-1]), ("s", FIRST_BOUND, LAST_BOUND), DURATION)
