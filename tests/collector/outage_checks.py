"""What a Collector that goes away costs: nothing that cannot be sent again, or found in the log and replayed."""

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
# So many that the Collector dies while they are under way.
LOAD = 120

# The Collector's batches wait for a second, the producer's spans for less.
BATCHED_WITHIN = 2.0

# One environment, so that what it keeps goes out with its next invocation; another one might not get any.
ONE = ["--concurrency", "1"]


@check
def stopped_and_started(bench):
    """a Collector that is stopped, and started again after a while, gets everything once"""
    folder = bench.folder()
    with Collector(bench.programs, folder) as collector:
        with Services(bench.programs, bench.programs.plain, folder, sending_to(collector), ONE) as services:
            handle(services, REQUESTS)
            collector.stop()
            handle(services, REQUESTS)
            collector.start()
            until(lambda: reaches(services, collector), "the function sends to the Collector again")
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
    """a Collector that is killed under load, and started again at once, has every span in the end"""
    folder = bench.folder()
    with Collector(bench.programs, bench.folder()) as backend, Collector(bench.programs, folder, passing_on, backend) as collector:
        with Services(bench.programs, bench.programs.plain, folder, sending_to(collector), ONE) as services:
            load = threading.Thread(target=services.onboard, args=(LOAD,))
            load.start()
            until(lambda: handled(services) > LOAD // 4, "a quarter of the load")
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
        same(unexpected_spans(services.requests, spans), [], "spans that nobody asked for")
        check_links(spans)
        name_duplicates(spans)


@check
def replayed(bench):
    """what a Collector missed that was never there is in the log, and is sent from there, once"""
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
        same(unexpected_spans(services.requests, spans), [], "spans that nobody asked for")
        check_links(spans)


def collector_spans(collector, services):
    """The Collector's spans, once none is missing."""
    until(lambda: not missing_spans(services.requests, collector.spans()), lambda: missing_spans(services.requests, collector.spans()))
    return collector.spans()


def sending_to(collector):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("http")}


def passing_on(_):
    """A Collector that answers only when its backend has, and keeps nothing: what it had taken before it was killed is nobody else's to lose."""
    pipeline = {"processors": ["memory_limiter"]}
    return {
        "exporters": {"otlp_http": {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}},
        "service": {"pipelines": {"traces": pipeline, "metrics": pipeline, "logs": pipeline}},
    }


def handle(services, count):
    """Has so many more messages handled."""
    wanted = len(services.requests) + count
    services.onboard(count)
    until(lambda: handled(services) == wanted, lambda: f"{handled(services)} of {wanted} messages are handled")


def reaches(services, collector):
    """Has one more message handled; whether its spans reach the Collector by themselves, which the function leaves alone for a while."""
    handle(services, 1)
    time.sleep(BATCHED_WITHIN)
    return not missing_spans(services.requests[-1:], collector.spans())


def handled(services):
    """How many messages the function says it has handled."""
    return sum(stream.read_text().count(f'"{HANDLED}"') for stream in services.streams())


def replay(bench, services, collector):
    """Sends what both services wrote to their logs; how many spans went where."""
    logs = [*services.streams(), services.log]
    command = [bench.programs.baton, "replay", *logs, "--json", "--endpoint", collector.endpoint("http"), "--ledger", services.folder / "ledger"]
    environment = {"PATH": os.environ["PATH"]}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert outcome.returncode == 0, f"baton replay ended with {outcome.returncode}: {outcome.stdout} {outcome.stderr}"
    return json.loads(outcome.stdout)["spans"]


def name_duplicates(spans):
    """Sending again what was not answered is at least once: what came twice is said."""
    names = {span.key: span.name for span in spans}
    for key, times in duplicates(spans).items():
        print(f"       {names[key]} {'/'.join(key)} arrived {times} times")
