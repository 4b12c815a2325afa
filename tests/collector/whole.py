"""The expected spans, data points and log records for the requests that were sent."""

import collections

from bench import same, until

FUNCTION, PRODUCER = "onboarding-lambda", "onboarding-api"

# The spans of each request, from the root: service, name and kind.
EXPECTED_SPANS = [
    (PRODUCER, "POST /onboarding", "SERVER"),
    (PRODUCER, "send onboarding", "PRODUCER"),
    (FUNCTION, "process onboarding", "CONSUMER"),
    (FUNCTION, "put onboardings", "CLIENT"),
]
PROCESS, BATCH = "process onboarding", "process_batch onboarding"

# The line that the function logs for each message, at level INFO.
HANDLED = "customer onboarded"

# Metrics that count each request or message once.
REQUEST_METRICS = [
    (PRODUCER, "http.server.request.duration"),
    (PRODUCER, "messaging.client.sent.messages"),
    (PRODUCER, "messaging.client.operation.duration"),
    (FUNCTION, "messaging.client.consumed.messages"),
    (FUNCTION, "messaging.process.duration"),
    (FUNCTION, "baton.sqs.queue_latency"),
    (FUNCTION, "baton.sqs.receive_count"),
    (FUNCTION, "db.client.operation.duration"),
]
# Metrics that count each invocation.
INVOCATION_METRICS = [(FUNCTION, "faas.invocations"), (FUNCTION, "faas.invoke_duration")]
# Metrics that count each execution environment.
ENVIRONMENT_METRICS = [(FUNCTION, "faas.coldstarts"), (FUNCTION, "faas.init_duration")]
# The route of the counted requests. The producer's health checks are requests too.
ROUTE = "/onboarding"

# Prefix of the connector's metrics.
SPAN_METRICS = "traces.span.metrics."


class Missing(list):
    """Descriptions of missing telemetry."""

    def __str__(self):
        return f"{len(self)} items are missing, including: {'; '.join(self[:6])}"


def missing_spans(requests, spans):
    """Returns the missing spans: each request has a chain of spans, linked to a batch span."""
    by_key = {span.key: span for span in spans}
    traces = collections.defaultdict(list)
    for span in by_key.values():
        traces[span.trace].append(span)
    missing = Missing()
    for request in requests:
        parent = request.span
        for service, name, kind in EXPECTED_SPANS:
            found = [
                span
                for span in traces[request.trace]
                if (span.resource["service.name"], span.name, span.kind, span.parent) == (service, name, kind, parent)
            ]
            if len(found) != 1:
                missing.append(f"{len(found)} of '{name}' in {request.trace}")
                break
            parent = found[0].id
            if name == PROCESS:
                missing += [f"'{BATCH}' {link}" for link in found[0].links if link not in by_key]
    return missing


def unexpected_spans(requests, spans):
    """Returns spans that belong to no request and no batch, such as spans of the telemetry itself."""
    traces = {request.trace for request in requests}
    batches = {link for span in spans for link in span.links if span.name == PROCESS}
    return [span for span in spans if span.trace not in traces and span.key not in batches]


def duplicates(spans):
    """Returns the spans that arrived more than once, with their number."""
    counts = collections.Counter(span.key for span in spans)
    return {key: times for key, times in counts.items() if times > 1}


def check_links(spans):
    """Checks that the batch spans link once to each message's producer span."""
    distinct = {span.key: span for span in spans}.values()
    linked = [link for span in distinct if span.name == BATCH for link in span.links]
    sent = [span.key for span in distinct if span.name == "send onboarding"]
    same(sorted(linked), sorted(sent), "links of the batches to the messages' producers")


def missing_records(requests, spans, records):
    """Returns the missing log records: one for each request, in its record span."""
    found = collections.Counter((record.trace, record.span) for record in records if record.body == HANDLED)
    processed = {span.trace: span.key for span in spans if span.name == PROCESS}
    wanted = [processed.get(request.trace) for request in requests]
    return Missing(f"{found[key]} of '{HANDLED}' in {key}" for key in wanted if found[key] != 1)


def missing_amounts(wanted, points):
    """Returns the metrics with a wrong amount; `wanted` has the amount for each service and name."""
    found = collections.Counter()
    for point in points:
        if point.attributes.get("http.route", ROUTE) == ROUTE:
            found[point.resource.get("service.name"), point.name] += point.amount
    return Missing(f"{found[key]} instead of {amount} in {' '.join(key)}" for key, amount in wanted.items() if found[key] != amount)


def wanted_amounts(requests, spans, environments):
    """Returns the expected total of each metric of the two services."""
    invocations = len({span.key for span in spans if span.name == BATCH})
    return (
        dict.fromkeys(REQUEST_METRICS, len(requests))
        | dict.fromkeys(INVOCATION_METRICS, invocations)
        | dict.fromkeys(ENVIRONMENT_METRICS, environments)
    )


def check_deltas(points):
    """Checks that the services' data points are deltas that do not overlap."""
    own = [point for point in points if not point.name.startswith(SPAN_METRICS)]
    same([point for point in own if point.kind != "gauge" and not point.is_delta], [], "points that are not deltas")
    last = {}
    for point in sorted(own, key=lambda point: (point.start, point.time)):
        before = last.get(point.series, 0)
        assert before <= point.start <= point.time, f"{point} overlaps the previous point"
        last[point.series] = point.time


class Arrived:
    """Compares the telemetry that a Collector received with the requests to the services."""

    def __init__(self, collector, services):
        self.collector = collector
        self.services = services

    def missing(self):
        """Returns the missing telemetry of all three signals."""
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
        """Checks that no telemetry is missing or unexpected, except for duplicates."""
        same(self.missing(), [], "missing telemetry")
        same(unexpected_spans(self.services.requests, self.collector.spans()), [], "unexpected spans")
        check_links(self.collector.spans())
        check_deltas(self.collector.points())

    def check_once(self):
        """Checks that no span arrived twice."""
        same(duplicates(self.collector.spans()), {}, "spans that arrived twice")
