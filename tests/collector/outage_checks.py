"""Outages of the Collector: all spans are sent again, or can be replayed from the log."""

import json
import os
import subprocess
import threading
import time

from bench import check, same, until
from collector import Collector
from services import Services
from whole import HANDLED, Arrived, check_links, duplicates, missing_spans, unexpected_spans

REQUESTS = 20
# Enough requests that the Collector is killed while they are in progress.
LOAD = 120

# Seconds until spans arrive: the Collector batches for one second, the producer for less.
BATCHED_WITHIN = 2.0

# One execution environment, so that the next invocation sends the spans that it has kept. A second
# environment might not get another invocation.
ONE = ["--concurrency", "1"]


@check
def stopped_and_started(bench):
    """a Collector that is stopped and started again later receives all telemetry once"""
    folder = bench.folder()
    with Collector(bench.programs, folder) as collector:
        with Services(bench.programs, bench.programs.plain, folder, sending_to(collector), ONE) as services:
            handle(services, REQUESTS)
            collector.stop()
            handle(services, REQUESTS)
            collector.start()
            until(lambda: reaches(services, collector), "the function does not send to the Collector again")
            handle(services, REQUESTS)
            services.stop()
        replay(bench, services, collector)
        arrived = Arrived(collector, services)
        arrived.wait()
        collector.stop()
        arrived.check_whole()
        arrived.check_once()


@check
def killed_under_load(bench):
    """a Collector that is killed under load and restarted immediately receives every span"""
    folder = bench.folder()
    with Collector(bench.programs, bench.folder()) as backend, Collector(bench.programs, folder, unbuffered, backend) as collector:
        with Services(bench.programs, bench.programs.plain, folder, sending_to(collector), ONE) as services:
            load = threading.Thread(target=services.onboard, args=(LOAD,))
            load.start()
            until(lambda: handled(services) > LOAD // 4, "a quarter of the load is not handled")
            collector.kill()
            under_way = handled(services) < LOAD
            collector.start()
            load.join()
            assert under_way, "the load was over before the Collector was killed"
            handle(services, REQUESTS)
            services.stop()
        replay(bench, services, collector)
        until(lambda: not missing_spans(services.requests, backend.spans()), lambda: missing_spans(services.requests, backend.spans()))
        collector.stop()
        backend.stop()
        spans = backend.spans()
        same(missing_spans(services.requests, spans), [], "missing spans")
        same(unexpected_spans(services.requests, spans), [], "unexpected spans")
        check_links(spans)
        print_duplicates(spans)


@check
def replayed(bench):
    """spans from before the first start of the Collector are in the log, and are replayed once"""
    folder = bench.folder()
    collector = Collector(bench.programs, folder)
    with Services(bench.programs, bench.programs.plain, folder, sending_to(collector)) as services:
        handle(services, REQUESTS)
        services.stop()
    with collector:
        sent = replay(bench, services, collector)
        wanted = len(collector_spans(collector, services))
        same((sent["sent"], sent["sent_before"]), (wanted, 0), "spans of the first replay")
        again = replay(bench, services, collector)
        same((again["sent"], again["sent_before"]), (0, wanted), "spans of the second replay")
        collector.stop()
        spans = collector.spans()
        same(duplicates(spans), {}, "spans that arrived twice")
        same(unexpected_spans(services.requests, spans), [], "unexpected spans")
        check_links(spans)


def collector_spans(collector, services):
    """Waits until no span is missing, and returns all spans."""
    until(lambda: not missing_spans(services.requests, collector.spans()), lambda: missing_spans(services.requests, collector.spans()))
    return collector.spans()


def sending_to(collector):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("http")}


def unbuffered(_):
    """Returns an overlay without a queue: the Collector responds after its backend, so that a kill loses no accepted
    data."""
    return {"exporters": {"otlp_http": {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}}}


def handle(services, count):
    """Sends `count` messages and waits until they are handled."""
    wanted = len(services.requests) + count
    services.onboard(count)
    until(lambda: handled(services) == wanted, lambda: f"{handled(services)} of {wanted} messages are handled")


def reaches(services, collector):
    """Sends a message and returns whether its spans reach the Collector, which the circuit breaker prevents for a
    while."""
    handle(services, 1)
    time.sleep(BATCHED_WITHIN)
    return not missing_spans(services.requests[-1:], collector.spans())


def handled(services):
    """Returns the number of messages that the function has logged as handled."""
    return sum(stream.read_text().count(f'"{HANDLED}"') for stream in services.streams())


def replay(bench, services, collector):
    """Replays the logs of both services, and returns the numbers of spans."""
    logs = [*services.streams(), services.log]
    command = [bench.programs.baton, "replay", *logs, "--json", "--endpoint", collector.endpoint("http"), "--ledger", services.folder / "ledger"]
    environment = {"PATH": os.environ["PATH"]}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert outcome.returncode == 0, f"baton replay exited with {outcome.returncode}: {outcome.stdout} {outcome.stderr}"
    return json.loads(outcome.stdout)["spans"]


def print_duplicates(spans):
    """Prints the duplicates, which are allowed: a request without a response is sent again."""
    names = {span.key: span.name for span in spans}
    for key, times in duplicates(spans).items():
        print(f"       {names[key]} {'/'.join(key)} arrived {times} times")
