#!/usr/bin/env python3
"""Measures an invocation of the onboarding function, for the figures in infra/costs.py.

    cargo build --release -p onboarding-lambda --features dead-letter-queue,dynamodb,secrets
    bench/onboarding.py target/release/onboarding-lambda

The function runs with a table and a collector on loopback that respond after a fixed time, without
TLS. Prints a Markdown table with a row for each batch size. Needs Python 3 and nothing else.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "moto"), str(TESTS)]

from function import Function, message  # noqa: E402
from servers import Handler, Server  # noqa: E402

# Invocations before the measured ones, which open the connections.
WARM_UP = 20


class Delayed:
    """A server that responds to each request after some milliseconds, and counts the bytes of the bodies."""

    def __init__(self, milliseconds, content_type, content=b""):
        self.seconds = milliseconds / 1000
        self.content_type, self.content = content_type, content
        self.received = 0
        self.server = Server(DelayedHandler, self)


class DelayedHandler(Handler):
    def do_POST(self):
        owner = self.server.owner
        owner.received += len(self.body())
        time.sleep(owner.seconds)
        self.respond(200, owner.content, {"Content-Type": owner.content_type})


def new_message(number):
    """Returns a message with a trace context, as the producer sends it."""
    record = message(f"00000000-0000-4000-8000-{number:012}", f"customer-{number:08}")
    context = f"00-{number + 1:032x}-{number + 1:016x}-01"
    record["messageAttributes"] = {"traceparent": {"stringValue": context, "dataType": "String"}}
    return record


def cpu_milliseconds(pid):
    """Returns the CPU time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def measure(batch_size, arguments):
    """Returns the figures of an invocation, as the columns of the table."""
    table = Delayed(arguments.store_ms, "application/x-amz-json-1.0", b"{}")
    collector = Delayed(arguments.export_ms, "application/x-protobuf")
    variables = {
        "TABLE_NAME": "onboardings",
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://{table.server.address}",
        "OTEL_SERVICE_NAME": "onboarding-lambda",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.server.address}",
        **dict(variable.split("=", 1) for variable in arguments.env),
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        function = Function(arguments.function, log, variables)
        counters = lambda: (cpu_milliseconds(function.process.pid), log.stat().st_size, collector.received)  # noqa: E731
        batches = ([new_message(index * batch_size + offset) for offset in range(batch_size)] for index in range(10**6))
        try:
            for _ in range(WARM_UP):
                function.handle(*next(batches))
            before = counters()
            began = time.monotonic()
            responses = [function.handle(*next(batches)) for _ in range(arguments.invocations)]
            # The time until the function has asked for another event, which Lambda bills.
            elapsed = (time.monotonic() - began) * 1000 / arguments.invocations
            totals = [end - start for start, end in zip(before, counters())]
        finally:
            function.stop()
            table.server.close()
            collector.server.close()
    assert not any(response.failed for response in responses), "a message failed"
    duration = statistics.median(response.seconds for response in responses) * 1000
    cpu, logged, exported = (total / arguments.invocations for total in totals)
    return f"{cpu:.2f}", f"{duration:.1f}", f"{elapsed:.1f}", f"{logged:.0f}", f"{exported:.0f}"


def main():
    parser = argparse.ArgumentParser(description="Measure an invocation of the onboarding function.")
    parser.add_argument("function", type=Path, help="the function's binary, built with the feature dynamodb")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 10, 100], metavar="N", help="[default: 1 10 100]")
    parser.add_argument("--invocations", type=int, default=200, metavar="N", help="measured invocations [default: 200]")
    parser.add_argument("--store-ms", type=float, default=5, metavar="MS", help="response time of the table [default: 5]")
    parser.add_argument("--export-ms", type=float, default=20, metavar="MS", help="response time of the collector [default: 20]")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="further variable of the function")
    arguments = parser.parse_args()
    if not arguments.function.is_file():
        parser.error(f"{arguments.function} does not exist: build it first")
    print("| batch size | CPU (ms) | response (ms) | next event (ms) | log (bytes) | OTLP (bytes) |\n|---|---|---|---|---|---|")
    for batch_size in arguments.batch_sizes:
        print(f"| {batch_size} |", " | ".join(measure(batch_size, arguments)), "|", flush=True)


main()
