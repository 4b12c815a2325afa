"""Checks of docs/operate.md: runs its commands against the stack of the other checks, in which it causes the failures
that they are for."""

import json
import time

from bench import check, same, until
from page import Page, checkout
from setup import new_trace
from stack_checks import INVALID

# Sections whose commands are not run, and the reasons.
NOT_RUN = {"No traces": "tests/backends/page_checks.py runs them, because they need Prometheus"}


@check
def the_page_about_operation_is_right(bench):
    """The commands of docs/operate.md find log lines, dead letters and mappings, and replay lost spans."""
    accepted, rejected, lost = new_trace(), new_trace(), new_trace()
    page = reader(bench, accepted)
    page.run("Operating")
    with bench.task(bench.stack) as task:
        lines = page.run("Verifying the pipeline", API_URL=task.url).splitlines()
        same(lines[-1], "all checks passed", "the last line of infra/validate.sh")
        task.onboard("c-accepted", accepted)
        write_log(bench, task.log("onboarding-api"))
    bench.stack.send(INVALID, rejected)
    bench.stack.wait_for_dead()
    check_logs(page, accepted, rejected)
    assert isinstance(json.loads(page.run("Restarts")), list), "the events of the service are not a list"
    assert f"-{rejected.id}-" in page.run("Dead letters"), "the dead letter has no traceparent"
    same(json.loads(page.run("Half of the services are missing")), ["Enabled"], "states of the mapping")
    check_replay(bench, page, lost)
    bench.stack.dead()
    page.check_complete(NOT_RUN)


def reader(bench, trace):
    replaced = {
        "--stack-name baton": f"--stack-name {bench.stack.name}",
        "validate.sh aws baton": f"validate.sh aws {bench.stack.name}",
        "4bf92f3577b34da6a3ce929d0e0e4736": trace.id,
        "https://otlp.example.com:4318": bench.backend.endpoint,
        "Bearer KEY": bench.backend.key,
    }
    page = bench.programs.root / "docs" / "operate.md"
    return Page(bench.emulator, page, checkout(bench.programs.root, bench.folder()), bench.folder() / "state", replaced)


def write_log(bench, log):
    """Writes the producer's log to its log group, as ECS does."""
    client = bench.emulator.client("logs")
    group = {"logGroupName": bench.stack.outputs["ProducerLogGroup"], "logStreamName": "onboarding-api"}
    client.create_log_stream(**group)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in log.read_text().splitlines()]
    client.put_log_events(**group, logEvents=events)


def check_logs(page, accepted, rejected):
    """Checks that the commands find the warning about a message, and the lines of a request. The emulator ignores patterns in
    JSON's form, so it is not checked that they leave out other lines."""
    output = page.run("Where to look")
    assert rejected.id in output, f"no warning about {rejected.id}: {output}"
    assert "message accepted" in output and accepted.id in output, f"no line of {accepted.id}: {output}"


def check_replay(bench, page, trace):
    """Checks that spans from an outage of the backend arrive after their replay."""
    bench.backend.available = False
    bench.stack.send(bench.body("c-lost"), trace)
    bench.stack.stored("c-lost")
    spilled = lambda: any("baton.spill" in event["message"] for event in function_log(bench))
    until(spilled, lambda: f"no span is in the function's log: {function_log(bench)[-5:]}")
    bench.backend.available = True
    same(bench.backend.trace(trace.id), [], "spans before the replay")
    page.run("Lost spans", XDG_STATE_HOME=str(bench.folder()))
    bench.processed(trace, 1)


def function_log(bench):
    return bench.emulator.client("logs").filter_log_events(logGroupName=bench.stack.outputs["FunctionLogGroup"])["events"]
