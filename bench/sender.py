#!/usr/bin/env python3
"""Measures the producer with gathering and without, and prints a Markdown table.

  sender.py SENDER [--service API API_WITHOUT_GATHERING BATON] [--check] [--rounds N]

SENDER is the binary of bench/sender, API the onboarding API, and BATON has the load generator.
Without --service, only the library is measured. Each figure is the median of the rounds, whose runs
alternate. With --check, measures everything again if a figure exceeds its limit, because another
program may have disturbed it, and exits with 1 if that does not help.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SECONDS = 3
CHECK_ATTEMPTS = 3


@contextlib.contextmanager
def process(command, **options):
    """Runs a process until the end of the block."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.stdout.close()
        child.wait(30)


@contextlib.contextmanager
def fake_sqs(binaries, delay_ms):
    with process([binaries.sender, "sqs", "--delay-ms", str(delay_ms)]) as sqs:
        yield sqs.stdout.readline().strip()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


@contextlib.contextmanager
def api(binary, sqs, **variables):
    """Runs the API, and yields its process and its address."""
    environment = {
        "PATH": os.environ["PATH"],
        "QUEUE_URL": f"http://{sqs}/000000000000/bench",
        "LISTEN_ADDR": "127.0.0.1:0",
        "SHUTDOWN_GRACE_PERIOD": "0",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_SQS": f"http://{sqs}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **variables,
    }
    with tempfile.NamedTemporaryFile("r") as log:
        child = subprocess.Popen([binary], env=environment, stdout=open(log.name, "w"))
        try:
            yield child, listening_address(log, child)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(30)


def listening_address(log, child):
    """Waits until the API has logged its address."""
    while child.poll() is None:
        line = log.readline()
        if line.endswith("\n"):
            event = json.loads(line)
            if event.get("message") == "listening":
                return event["address"]
        else:
            time.sleep(0.01)
    raise SystemExit(f"the API exited with code {child.returncode}")


def cpu_seconds(pid):
    """CPU time of all threads so far."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
                total += int(stat.read().split()[0])
    return total / 1e9


def peak_megabytes(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024


def resident_megabytes(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def load(binaries, address, *options):
    """Runs the load generator, and returns its report."""
    with tempfile.NamedTemporaryFile() as report:
        command = [binaries.baton, "load", "--url", f"http://{address}/onboarding", "--json", report.name]
        subprocess.run([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        return json.load(report)


def library(binaries, gathering, *options, delay_ms=0):
    with fake_sqs(binaries, delay_ms) as sqs:
        command = [binaries.sender, "library", "--sqs", sqs, "--gathering", gathering, *options]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        counts = get(f"http://{sqs}/counts")
    return {**figures, "calls_per_message": counts["calls"] / counts["messages"]}


def service(binaries, binary, *options, delay_ms=0, failures=(), with_telemetry=False):
    """Loads the API, and returns the figures of the run. Telemetry goes to a second fake."""
    with contextlib.ExitStack() as stack:
        sqs = stack.enter_context(fake_sqs(binaries, delay_ms))
        variables = {"OTEL_SDK_DISABLED": "true"}
        if with_telemetry:
            collector = stack.enter_context(fake_sqs(binaries, 0))
            variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector}"}
        child, address = stack.enter_context(api(binary, sqs, **variables))
        load(binaries, address, "--concurrency", "32", "--duration", "500ms")
        before = cpu_seconds(child.pid)
        if failures:
            generator = subprocess.Popen(
                [sys.executable, __file__, "--outage", sqs, *failures], stdout=subprocess.DEVNULL)
        report = load(binaries, address, *options)
        if failures:
            generator.wait(30)
        used = cpu_seconds(child.pid) - before
        counts = get(f"http://{sqs}/counts")
        accepted = report["requests"]["accepted"]
        return {
            "failed": report["requests"]["failed"],
            "per_second": accepted / report["elapsed"],
            "cpu_us": used * 1e6 / max(accepted, 1),
            "p50_ms": report["latency"]["uncorrected"]["p50"] * 1e3,
            "calls_per_message": counts["calls"] / max(counts["messages"], 1),
            # One of them reads the counts.
            "connections": counts["most_connections"] - 1,
            "peak_mb": peak_megabytes(child.pid),
        }


def outage(sqs, failures):
    """Lets the fake SQS fail for half a second in each way."""
    for failure in failures:
        time.sleep(0.5)
        get(f"http://{sqs}/fail/{failure}")
        time.sleep(0.5)
        get(f"http://{sqs}/fail/none")


def alternated(rounds, first, second):
    """Runs both in turn, and returns their results."""
    results = ([], [])
    for _ in range(rounds):
        results[0].append(first())
        results[1].append(second())
    return results


def median(results, key):
    return statistics.median(result[key] for result in results)


def ratio(results, key):
    """The median of the ratios of the pairs."""
    return statistics.median(one[key] / other[key] for one, other in zip(*results))


def library_figures(binaries, rounds):
    """Yields each figure: its name, its value, its unit and its limit."""
    seconds = ["--seconds", str(SECONDS)]
    callers = ["--callers", "64", *seconds]
    pair = alternated(rounds, lambda: library(binaries, "on", *callers), lambda: library(binaries, "off", *callers))
    yield "library: CPU time per message, 64 callers", ratio(pair, "cpu_us_per_message"), "×", ("max", 0.20)
    yield "library: calls per message at saturation", median(pair[0], "calls_per_message"), "", ("max", 0.12)
    rate = ["--rate", "1000", *seconds]
    at_rate = [library(binaries, "on", *rate) for _ in range(rounds)]
    yield "library: calls per message at 1,000/s", median(at_rate, "calls_per_message"), "", ("max", 0.25)


def service_figures(binaries, rounds):
    """Yields the same for the onboarding API."""
    duration = ["--duration", f"{SECONDS}s"]

    def on(*options, **more):
        return lambda: service(binaries, binaries.api, *options, **more)

    def off(*options, **more):
        return lambda: service(binaries, binaries.api_off, *options, **more)

    crowd = ["--concurrency", "256", *duration]
    pair = alternated(rounds, on(*crowd), off(*crowd))
    yield "service: CPU time per message, 256 connections", ratio(pair, "cpu_us"), "×", ("max", 0.40)
    yield "service: calls per message, 256 connections", median(pair[0], "calls_per_message"), "", ("max", 0.12)
    # With 256 connections, SQS's delay and not the service limits the throughput with gathering.
    crowd_512 = ["--concurrency", "512", *duration]
    pair = alternated(rounds, on(*crowd_512, delay_ms=10), off(*crowd_512, delay_ms=10))
    yield "service: throughput, 512 connections, SQS after 10 ms", ratio(pair, "per_second"), "×", ("min", 2.5)
    for delay_ms in (0, 10):
        slow = ["--rate", "100", *duration]
        pair = alternated(rounds, on(*slow, delay_ms=delay_ms), off(*slow, delay_ms=delay_ms))
        difference = statistics.median(one["p50_ms"] - other["p50_ms"] for one, other in zip(*pair))
        yield f"service: p50 at 100/s, SQS after {delay_ms} ms, difference", difference, " ms", ("max", 0.3)
    traced = on(*crowd, with_telemetry=True)
    # The difference is small, so more pairs are needed than for the other figures.
    pair = alternated(3 * rounds, traced, on(*crowd))
    yield "service: throughput with telemetry, 256 connections", ratio(pair, "per_second"), "×", ("min", 0.9)
    many = [service(binaries, binaries.api, "--concurrency", "2000", *duration) for _ in range(rounds)]
    yield "service: connections to SQS, 2,000 clients", max(one["connections"] for one in many), "", ("max", 34)
    yield "service: peak memory, 2,000 clients", max(one["peak_mb"] for one in many), " MB", ("max", 100)
    broken = service(binaries, binaries.api, "--rate", "2000", "--duration", "5s",
                     failures=("500", "close", "throttle"))
    yield "service: requests that fail in outages of 0.5 s at 2,000/s", broken["failed"], "", ("max", 0)
    yield "service: connections to SQS in these outages", broken["connections"], "", ("max", 36)


def soak(binaries, seconds):
    """Loads the API for this time, and prints its memory at each minute."""
    with fake_sqs(binaries, 0) as sqs, api(binaries.api, sqs, OTEL_SDK_DISABLED="true") as (child, address):
        command = [binaries.baton, "load", "--url", f"http://{address}/onboarding", "--concurrency", "256",
                   "--duration", f"{seconds}s"]
        generator = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        began = time.monotonic()
        while generator.poll() is None:
            print(f"{time.monotonic() - began:.0f} s: {resident_megabytes(child.pid):.1f} MB", flush=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                generator.wait(60)


def print_table(figures):
    """Prints the figures, and returns whether all are within their limits."""
    all_within = True
    print("| Figure | Value | Limit |\n|---|---|---|")
    for name, value, unit, (kind, limit) in figures:
        within = value <= limit if kind == "max" else value >= limit
        all_within &= within
        sign = "≤" if kind == "max" else "≥"
        mark = "" if within else " **exceeded**"
        print(f"| {name} | {value:.3g}{unit}{mark} | {sign} {limit}{unit} |", flush=True)
    return all_within


def main():
    parser = argparse.ArgumentParser(description="Measures the producer with gathering and without.")
    parser.add_argument("sender")
    parser.add_argument("--service", nargs=3, metavar=("API", "API_WITHOUT_GATHERING", "BATON"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--soak", type=int, metavar="SECONDS", help="only show the memory of the API under load")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.service:
        options.api, options.api_off, options.baton = options.service
    if options.soak:
        soak(options, options.soak)
        return
    for attempt in range(CHECK_ATTEMPTS if options.check else 1):
        if attempt > 0:
            print("\nA figure exceeded its limit. Everything is measured again:\n")
        figures = library_figures(options, options.rounds)
        if options.service:
            figures = itertools.chain(figures, service_figures(options, options.rounds))
        if print_table(figures):
            return
    if options.check:
        sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--outage"]:
        outage(sys.argv[2], sys.argv[3:])
    else:
        main()
