#!/usr/bin/env python3
"""Checks the arm64 function: its file, its start, and its handling of 100 messages. Started by run.sh.

check.py ROOT BATON FUNCTION WRAPPER
"""

import pathlib
import statistics
import sys
import time

import start
from binary import Binary
from checks import Checks
from messages import COUNT, broken_traces, new_messages, send
from stack import Stack
from table import NAME, REGION, Table

# The newest version of glibc that the runtime `provided.al2023` has.
GLIBC = (2, 34)
# Limits of the size in MB: 10 % above the measurement with cargo-lambda 1.9.2 and Rust 1.95.
SIZE = 9.3
GZIP_SIZE = 4.3
# The settings of template.yaml, except the concurrency: QEMU needs a processor for each execution
# environment.
OPTIONS = ["--no-producer", "--logs", "--batching-window", "1s", "--concurrency", "2", "--max-receive-count", "5"]
TIMES = ["--function-timeout", "30s", "--visibility-timeout", "240s"]
DEAD_LETTER_QUEUE = "http://127.0.0.1/000000000000/onboarding-dlq"
# Seconds within which the spans of all messages arrive after the queue is empty.
SPANS_SECONDS = 30
POLL_SECONDS = 0.1


def check_file(checks, binary, root):
    """Returns a description of the file."""
    size, gzip_size, glibc = binary.megabytes(), binary.gzip_megabytes(), binary.glibc()
    paths = binary.paths(root)
    checks.check("the function is an arm64 binary", binary.is_arm64())
    checks.check(f"it needs no glibc newer than {GLIBC[0]}.{GLIBC[1]}", glibc <= GLIBC, glibc)
    checks.check("it contains no path of the build machine", not paths, paths)
    small = size <= SIZE and gzip_size <= GZIP_SIZE
    checks.check(f"it is not larger than {SIZE} MB, and {GZIP_SIZE} MB with gzip", small, (size, gzip_size))
    return f"{size:.2f} MB, {gzip_size:.2f} MB with gzip, needs glibc {glibc[0]}.{glibc[1]}"


def check_start(checks, wrapper, table):
    """Returns a description of the start."""
    variables = {
        "AWS_LAMBDA_FUNCTION_NAME": "onboarding",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        **table_variables(table),
    }
    starts = [start.seconds(wrapper, variables) for _ in range(start.STARTS)]
    paths = {path for _, path in starts}
    checks.check("its first request is for an event", paths == {"/2018-06-01/runtime/invocation/next"}, paths)
    median = statistics.median(seconds for seconds, _ in starts)
    return f"first request for an event {median * 1000:.0f} ms after its start, in QEMU (median of {len(starts)})"


def table_variables(table):
    return {"TABLE_NAME": NAME, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_DYNAMODB": f"http://{table.server.address}"}


def check_messages(checks, stack, table):
    """Sends messages, and checks their items, their spans and the queues."""
    messages = new_messages()
    send(stack, messages)
    stack.wait_until_empty()
    spans = spans_of(stack, messages)
    stored = [message for message in messages if table.item(message.customer_id)]
    checks.check(f"all {COUNT} messages are stored", len(stored) == COUNT, len(stored))
    items = table.client.scan(TableName=NAME, Select="COUNT")["Count"]
    checks.check("the table has no other item", items == COUNT, items)
    kinds = [span["kind"] for span in spans if span["name"].startswith("process ")]
    checks.check("each message has one CONSUMER span", kinds == ["CONSUMER"] * COUNT, len(kinds))
    broken = broken_traces(messages, spans)
    checks.check("each span continues the trace of its message, and the PutItem span is below it", not broken, (len(broken), broken[:2]))
    left = [stack.count(stack.endpoints[queue]) for queue in ("queue_url", "dead_letter_queue_url")]
    checks.check("both queues are empty", left == [0, 0], left)
    lines = stack.logged('"level":"WARN"', '"level":"ERROR"')
    checks.check("the function logs no warning and no error", not lines, lines[:3])


def spans_of(stack, messages):
    """Waits for a span of each message, and returns all spans."""
    until = time.monotonic() + SPANS_SECONDS
    expected = {message.trace_id for message in messages}
    while True:
        spans = stack.spans()
        if expected <= {span["trace_id"] for span in spans} or time.monotonic() > until:
            return spans
        time.sleep(POLL_SECONDS)


def main(root, baton, function, wrapper):
    checks, began, table = Checks(), time.monotonic(), Table()
    try:
        size = check_file(checks, Binary(function), pathlib.Path(root))
        first = check_start(checks, wrapper, table)
        variables = {**table_variables(table), "BATON_DEAD_LETTER_QUEUE_URL": DEAD_LETTER_QUEUE}
        options = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        with Stack(baton, wrapper, root, [*OPTIONS, *TIMES, *options]) as stack:
            check_messages(checks, stack, table)
    finally:
        table.stop()
    print(f"arm64 function: {size}; {first}")
    print(f"checked in {time.monotonic() - began:.0f} s")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
