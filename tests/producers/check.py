"""Runs the producers against two stacks and compares the messages' spans with docs/other-producers.md.

    check.py BINARIES WORK LANGUAGE...
"""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from rows import LAMBDA_SPAN, ROWS, Outcome
from stack import Stack

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs/other-producers.md"
# Files with the version of each instrumentation that the document names as tested.
VERSIONS = {
    "boto3/requirements.txt": r"boto3sqs==(\S+)",
    "boto3/requirements-old.txt": r"boto3sqs==(\S+)",
    "node/package.json": r'instrumentation-aws-sdk": "([^"]+)"',
    "java/pom.xml": r"<version>([^<]+-alpha)</version>",
    "go/go.mod": r"/otelaws v(\S+)",
}
# The function's OTEL_PROPAGATORS in each of the two stacks; None means not set.
PROPAGATORS = [None, "tracecontext,baggage,xray"]
# Time limit for one producer in seconds. It sends five messages over loopback.
PRODUCER_SECONDS = 60
# Part of the line that the function logs for a message whose only context is an AWSTraceHeader.
REPORT = "AWSTraceHeader is its only trace context"


class Checks:
    """Counts the checks and prints each in one line."""

    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, title, found, expected):
        if found == expected:
            self.passed += 1
            print(f"ok     {title}")
        else:
            self.failed += 1
            print(f"FAILED {title}: expected {expected}, found {found}")


def run(row, stack):
    """Runs a producer against the stack, and returns its messages and spans."""
    environment = {**os.environ, **stack.variables}
    # OTEL_* variables would change the producer's exporters and propagators.
    for name in [name for name in environment if name.startswith("OTEL_")]:
        del environment[name]
    environment.update(row.variables)
    command = [*row.command, stack.queue_url]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PRODUCER_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{row.title} exited with {done.returncode}:\n{done.stderr}")
    sent = json.loads(done.stdout.splitlines()[-1])
    return sent["messages"], sent["spans"]


def outcome(span, message, spans):
    """Returns the names of the producer's spans that are parent and link of `span`, or the id of an unknown parent."""
    if span is None:
        return "no span"
    names = {(span["trace_id"], span["span_id"]): span["name"] for span in spans if span["trace_id"] == message["trace_id"]}
    names[LAMBDA_SPAN["trace_id"], LAMBDA_SPAN["span_id"]] = LAMBDA_SPAN["name"]
    parent = names.get((span["trace_id"], span["parent_span_id"]), span["parent_span_id"] or None)
    links = [names.get((link["trace_id"], link["span_id"])) for link in span["links"]]
    links = [link for link in links if link]
    return Outcome(parent, ", ".join(links) or None)


def check_row(checks, row, stacks):
    with ThreadPoolExecutor(len(stacks)) as pool:
        sent = list(pool.map(lambda stack: run(row, stack), stacks))
    for number, (stack, (messages, spans)) in enumerate(zip(stacks, sent)):
        processed = stack.process_spans([message["id"] for message in messages])
        for case, expected in row.cases.items():
            of_case = [message for message in messages if message["case"] == case]
            found = {outcome(processed.get(message["id"]), message, spans) for message in of_case}
            title = f"{row.title}: {case}, {PROPAGATORS[number] or 'by default'}"
            checks.equal(title, found, {expected[number]})


def check_versions(checks):
    document = DOCUMENT.read_text()
    for file, pattern in VERSIONS.items():
        version = re.search(pattern, (HERE / file).read_text())[1]
        checks.equal(f"the document names {version} of {file}", f"yes, {version} |" in document, True)


def main():
    binaries, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    rows = [row for language in sys.argv[3:] for row in ROWS[language](work, HERE)]
    checks = Checks()
    check_versions(checks)
    with ExitStack() as opened:
        stacks = [
            opened.enter_context(Stack(binaries, {"OTEL_PROPAGATORS": propagators} if propagators else {}))
            for propagators in PROPAGATORS
        ]
        for row in rows:
            check_row(checks, row, stacks)
    # The line is logged only for a sampled header without another context, so not for an untraced
    # Lambda function.
    by_default = [outcomes[0] for row in rows for outcomes in row.cases.values()]
    has_header_alone = any(outcome.link not in (None, LAMBDA_SPAN["name"]) and not outcome.parent for outcome in by_default)
    for stack, propagators in zip(stacks, PROPAGATORS):
        reports = [line for line in stack.log if REPORT in line]
        expected = 1 if has_header_alone and not propagators else 0
        checks.equal(f"lines about an AWSTraceHeader alone, {propagators or 'by default'}", len(reports), expected)
        if len(reports) != expected:
            print("".join(stack.log))
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
