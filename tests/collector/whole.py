"""What must have arrived for the requests that were sent, span by span, data point by data point, record by record."""

import collections

from bench import same, until

FUNCTION, PRODUCER = "onboarding-lambda", "onboarding-api"

# Every request's way, from the root: service, name and kind of each span.
JOURNEY = [
    (PRODUCER, "POST /onboarding", "SERVER"),
    (PRODUCER, "send onboarding", "PRODUCER"),
    (FUNCTION, "process onboarding", "CONSUMER"),
    (FUNCTION, "put onboardings", "CLIENT"),
]
PROCESS, BATCH = "process onboarding", "process_batch onboarding"

# What the function logs for each message, at the level info.
HANDLED = "customer onboarded"

# Metrics that count each request, or message, once.
OF_REQUESTS = [
    (PRODUCER, "http.server.request.duration"),
    (PRODUCER, "messaging.client.sent.messages"),
    (PRODUCER, "messaging.client.operation.duration"),
    (FUNCTION, "messaging.client.consumed.messages"),
    (FUNCTION, "messaging.process.duration"),
    (FUNCTION, "baton.sqs.queue_latency"),
]
# And each invocation.
OF_INVOCATIONS = [(FUNCTION, "faas.invocations"), (FUNCTION, "faas.invoke_duration")]
# And each environment.
OF_ENVIRONMENTS = [(FUNCTION, "faas.coldstarts")]
# The producer's health checks are requests too; these are told by their route.
ROUTE = "/onboarding"

# Of the connector, which counts spans.
SPAN_METRICS = "traces.span.metrics."


class Missing(list):
    """What is wanting, and of what; empty when nothing is."""

    def __str__(self):
        return f"{len(self)} things are missing, among them: {'; '.join(self[:6])}"


def missing_spans(requests, spans):
    """Each request's spans, each the child of the one before, and the batch spans that they are linked to."""
    by_key = {span.key: span for span in spans}
    traces = collections.defaultdict(list)
    for span in by_key.values():
        traces[span.trace].append(span)
    wanting = Missing()
    for request in requests:
        parent = request.span
        for service, name, kind in JOURNEY:
            found = [
                span
                for span in traces[request.trace]
                if (span.resource["service.name"], span.name, span.kind, span.parent) == (service, name, kind, parent)
            ]
            if len(found) != 1:
                wanting.append(f"{len(found)} of '{name}' in {request.trace}")
                break
            parent = found[0].id
            if name == PROCESS:
                wanting += [f"'{BATCH}' {link}" for link in found[0].links if link not in by_key]
    return wanting


def unexpected_spans(requests, spans):
    """Spans that nothing that was asked for explains: telemetry about telemetry would be among them."""
    traces = {request.trace for request in requests}
    batches = {link for span in spans for link in span.links if span.name == PROCESS}
    return [span for span in spans if span.trace not in traces and span.key not in batches]


def duplicates(spans):
    """Spans that arrived more than once, and how often."""
    counts = collections.Counter(span.key for span in spans)
    return {key: times for key, times in counts.items() if times > 1}


def check_links(spans):
    """The batches are linked to every message's producer, once for each."""
    distinct = {span.key: span for span in spans}.values()
    linked = [link for span in distinct if span.name == BATCH for link in span.links]
    sent = [span.key for span in distinct if span.name == "send onboarding"]
    same(sorted(linked), sorted(sent), "links of the batches to the messages' producers")


def missing_records(requests, spans, records):
    """One log record for each request, inside its record span."""
    found = collections.Counter((record.trace, record.span) for record in records if record.body == HANDLED)
    processed = {span.trace: span.key for span in spans if span.name == PROCESS}
    wanted = [processed.get(request.trace) for request in requests]
    return Missing(f"{found[key]} of '{HANDLED}' in {key}" for key in wanted if found[key] != 1)


def missing_amounts(wanted, points):
    """Metrics that do not count what they must; `wanted` is an amount for each service and name."""
    found = collections.Counter()
    for point in points:
        if point.attributes.get("http.route", ROUTE) == ROUTE:
            found[point.resource["service.name"], point.name] += point.amount
    return Missing(f"{found[key]} instead of {amount} in {' '.join(key)}" for key, amount in wanted.items() if found[key] != amount)


def wanted_amounts(requests, spans, environments):
    """What each metric of the two services must count in all."""
    invocations = len({span.key for span in spans if span.name == BATCH})
    return (
        dict.fromkeys(OF_REQUESTS, len(requests))
        | dict.fromkeys(OF_INVOCATIONS, invocations)
        | dict.fromkeys(OF_ENVIRONMENTS, environments)
    )


def check_deltas(points):
    """Each of the services' own data points says what was new since the one before, and none came twice."""
    own = [point for point in points if not point.name.startswith(SPAN_METRICS)]
    same([point for point in own if point.kind != "gauge" and not point.is_delta], [], "points that are no deltas")
    last = {}
    for point in sorted(own, key=lambda point: (point.start, point.time)):
        before = last.get(point.series, 0)
        assert before <= point.start <= point.time, f"{point} begins before the one before it ends"
        last[point.series] = point.time


class Arrived:
    """What a Collector has got, against what was asked of the services."""

    def __init__(self, collector, services):
        self.collector = collector
        self.services = services

    def missing(self):
        """What is wanting of all three signals."""
        requests, spans = self.services.requests, self.collector.spans()
        wanted = wanted_amounts(requests, spans, len(self.services.streams()))
        return Missing(
            missing_spans(requests, spans)
            + missing_records(requests, spans, self.collector.records())
            + missing_amounts(wanted, self.collector.points())
        )

    def wait(self):
        """Waits until nothing is missing."""
        until(lambda: not self.missing(), self.missing)

    def check_whole(self):
        """Nothing is missing, and nothing is there that should not be, duplicates aside."""
        same(self.missing(), [], "in the end")
        same(unexpected_spans(self.services.requests, self.collector.spans()), [], "spans that nobody asked for")
        check_links(self.collector.spans())
        check_deltas(self.collector.points())

    def check_once(self):
        """No span came twice."""
        same(duplicates(self.collector.spans()), {}, "spans that arrived twice")
