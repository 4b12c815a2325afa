"""What must have arrived for the requests that were sent, span by span, record by record, metric by metric."""

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
BATCH = "process_batch onboarding"


def missing_spans(requests, spans):
    """What is wanting: each request's spans, each the child of the one before, and the batch spans that they are linked to."""
    by_key = {span.key: span for span in spans}
    traces = collections.defaultdict(list)
    for span in by_key.values():
        traces[span.trace].append(span)
    wanting = []
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
            if kind == "CONSUMER":
                wanting += [f"'{BATCH}' {link}" for link in found[0].links if link not in by_key]
    return wanting


def unexpected_spans(requests, spans):
    """Spans that nothing that was asked for explains: telemetry about telemetry would be among them."""
    traces = {request.trace for request in requests}
    batches = {link for span in spans for link in span.links if span.name == "process onboarding"}
    return [span for span in spans if span.trace not in traces and span.key not in batches]


def duplicates(spans):
    """Spans that arrived more than once, and how often."""
    return {key: times for key, times in collections.Counter(span.key for span in spans).items() if times > 1}


def await_spans(requests, spans):
    """Waits until every span of the requests has arrived; `spans` looks."""
    until(
        lambda: not missing_spans(requests, spans()),
        lambda: f"these spans are missing: {missing_spans(requests, spans())[:8]}",
    )


def check_spans(requests, spans):
    """Every span exactly once, and no other."""
    same(missing_spans(requests, spans), [], "missing spans")
    same(duplicates(spans), {}, "spans that arrived twice")
    same(unexpected_spans(requests, spans), [], "spans that nobody asked for")
    linked = [link for span in spans if span.name == BATCH for link in span.links]
    sent = [span.key for span in spans if span.name == "send onboarding"]
    same(sorted(linked), sorted(sent), "links of the batches to the messages' producers")
