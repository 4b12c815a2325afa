"""Failures of each kind, which raise alerts, and so that every panel has something to show."""

import itertools

from bench import until
from collector import free_host
from services import new_request

# Customers whose messages fail or are slow, as in BATON_DEMO_FAULTS.
FAULTS = {
    "BATON_DEMO_FAULTS": "fail-once=c-failing*,slow=c-slow*",
    "BATON_ALL_FAILED": "fail-invocation",
    "BATON_MAX_RECEIVE_COUNT": "2",
    # One after the other, so that a batch of slow messages does not end before the deadline.
    "BATON_CONCURRENCY": "1",
}
OPTIONS = [
    *("--function-timeout", "3s", "--visibility-timeout", "3s", "--max-receive-count", "2"),
    *("--batching-window", "1s", "--concurrency", "1"),
]
# A batch, each message of which takes 0.4 s.
SLOW = 10
# Too few bytes for the metrics of several invocations.
SMALL_BUFFER = {"BATON_METRIC_BUFFER_BYTES": "4096"}
# Messages while there is no collector. The circuit breaker opens after five failures.
DURING_OUTAGE = 12
# Requests after the outage.
REQUESTS = 20


def cause_failures(stack):
    """Sends messages that fail, are slow or become dead letters, messages while there is no collector, and a request
    while there is no queue."""
    with started(stack, "failing", FAULTS) as services, started(stack, "small", SMALL_BUFFER) as small:
        handle(services, "c-failing-1")
        # The second message for a customer fails permanently.
        for _ in range(2):
            services.send(new_request("c-twice"))
        for number in range(SLOW):
            services.send(new_request(f"c-slow-{number}"))
        for metric in ("faas_timeouts_total", "baton_sqs_dead_letters_total"):
            until(lambda metric=metric: stack.prometheus.query(metric), f"there is no {metric}")
        stack.collector.__exit__()
        for number in range(DURING_OUTAGE):
            for each in (services, small):
                handle(each, f"c-outage-{number}")
        stack.collector.__enter__()
        # Probes pass the breaker from time to time, until one closes it.
        later = itertools.count()

        def reported():
            customer = f"c-later-{next(later)}"
            for each in (services, small):
                each.send(new_request(customer))
            return all(stack.prometheus.query(metric) for metric in REPORTED_LATER)

        until(reported, "the failures during the outage are not reported")
    with stack.producer_without_queue() as producer:
        producer.fail()
    stack.services.leave_messages()
    stack.services.onboard(REQUESTS)
    # A rate needs two samples.
    until(lambda: stack.prometheus.query("min(count_over_time(otelcol_receiver_accepted_spans_total[10s])) >= 2"), "the collector is not scraped")


REPORTED_LATER = (
    'baton_telemetry_spans_total{baton_telemetry_outcome="spilled"}',
    "baton_telemetry_circuit_breaker_openings_total",
    "baton_telemetry_metric_points_total",
)


def started(stack, name, variables):
    """Returns both services with these variables, in a folder of their own."""
    folder = stack.folder / name
    folder.mkdir()
    return stack.service_programs(folder, free_host(), variables, OPTIONS)


def handle(services, customer):
    """Sends a message, and waits until the function has handled it."""
    services.send(new_request(customer))
    until(lambda: any(is_handled(line, customer) for stream in services.streams() for line in stream.read_text().split("\n")), f"{customer} is not handled")


def is_handled(line, customer):
    return "customer onboarded" in line and f'"{customer}"' in line
