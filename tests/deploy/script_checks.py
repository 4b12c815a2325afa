"""Checks of infra/validate.sh and infra/generate-traffic.sh."""

import re

from bench import check, same
from setup import new_trace
from stack_checks import INVALID


def validate(bench, *arguments, code=0, **variables):
    """Runs the script, and returns the lines of its output."""
    script = bench.programs.root / "infra" / "validate.sh"
    return bench.emulator.run(script, "aws", *arguments, code=code, **variables).splitlines()


def failed(lines):
    return [line for line in lines if line.startswith("FAILED")]


@check
def the_script_accepts_a_stack_that_works(bench):
    """infra/validate.sh passes for a stack that works, and finds the trace of its message at the backend."""
    traces = {"TRACE_URL": f"{bench.backend.endpoint}/api/traces/{{trace_id}}"}
    with bench.task(bench.stack) as task:
        lines = validate(bench, bench.stack.name, API_URL=task.url, **traces)
    same(lines[-1], "all checks passed", "the last line")
    assert any(line.startswith("ok      the trace is in the backend") for line in lines), lines


@check
def the_script_works_without_a_producer(bench):
    """infra/validate.sh sends the message itself if the stack has no producer."""
    lines = validate(bench, "function-only")
    assert any(line.startswith("ok      message sent to the queue") for line in lines), lines


@check
def the_script_reports_what_does_not_work(bench):
    """infra/validate.sh fails for a message in the dead-letter queue, an API that is down, and an unknown stack."""
    bench.stack.send(INVALID, new_trace())
    bench.stack.wait_for_dead()
    lines = failed(validate(bench, bench.stack.name, code=1, API_URL="http://127.0.0.1:9", WAIT_SECONDS="1"))
    titles = [re.match(r"FAILED  ([^:]*)", line).group(1) for line in lines]
    empty = "the dead-letter queue is empty"
    assert titles[:4] == [empty, "GET /healthz", "GET /readyz", "POST /telemetry/smoke"] and titles[-1] == empty, lines
    bench.stack.dead()
    lines = validate(bench, "unknown", code=1)
    assert failed(lines), lines


@check
def the_script_finds_an_outdated_version(bench):
    """infra/validate.sh fails if the queue invokes a version whose configuration differs from the function's."""
    client, name = bench.emulator.client("lambda"), bench.stack.outputs["FunctionName"]
    memory = bench.stack.function()["MemorySize"]
    client.update_function_configuration(FunctionName=name, MemorySize=memory * 2)
    lines = validate(bench, bench.stack.name, code=1, API_URL="http://127.0.0.1:9", WAIT_SECONDS="1")
    client.update_function_configuration(FunctionName=name, MemorySize=memory)
    assert any("the alias points to an older version" in line for line in failed(lines)), lines


@check
def the_script_reports_raised_alarms_of_the_stack(bench):
    """infra/validate.sh fails if an alarm of the stack is raised, and ignores those of other stacks."""
    client = bench.emulator.client("cloudwatch")
    other = f"{bench.stack.name}-staging-alarm"
    client.put_metric_alarm(
        AlarmName=other, Namespace="any", MetricName="any", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    own = bench.stack.resource("FunctionThrottlesAlarm")
    for name in (own, other):
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    lines = failed(validate(bench, bench.stack.name, code=1, API_URL="http://127.0.0.1:9", WAIT_SECONDS="1"))
    client.set_alarm_state(AlarmName=own, StateValue="OK", StateReason="a test")
    assert f"FAILED  no alarm is raised: {own}" in lines, lines


@check
def a_dry_run_calls_nothing(bench):
    """infra/validate.sh --dry-run prints its calls without making them."""
    lines = validate(bench, "whole", "--dry-run", AWS_ENDPOINT_URL="http://127.0.0.1:9", API_URL="http://127.0.0.1:9")
    same(lines[-1], "dry run: nothing was called", "the last line")
    assert any("dynamodb get-item" in line for line in lines), lines


def generate(bench, *arguments, code=0):
    """Runs infra/generate-traffic.sh, and returns the lines of its output."""
    return bench.emulator.run(bench.programs.root / "infra" / "generate-traffic.sh", *arguments, code=code).splitlines()


@check
def the_traffic_arrives(bench):
    """infra/generate-traffic.sh sends onboardings that the API accepts, and counts them."""
    with bench.task(bench.stack) as task:
        lines = generate(bench, f"{task.url}/onboarding", "2", "0.5")
    same([line.split() for line in lines], ["4 of 4 requests".split(), ["202", "4"]], "the output")


@check
def failed_traffic_is_reported(bench):
    """infra/generate-traffic.sh fails if a request is not accepted, and rejects invalid arguments."""
    with bench.task(bench.stack) as task:
        lines = generate(bench, f"{task.url}/unknown", "1", "0.5", code=1)
    same([line.split() for line in lines[1:]], [["404", "2"]], "the statuses of an unknown path")
    lines = generate(bench, "http://127.0.0.1:9/onboarding", "1", "1", code=1)
    same(lines[1].split(), ["no", "response", "1"], "the result without a listener")
    for arguments, name in [
        (("127.0.0.1:8080", "1", "1"), "URL"),
        (("http://127.0.0.1:9/", "1.5", "1"), "SECONDS"),
        (("http://127.0.0.1:9/", "1", "0"), "INTERVAL"),
        (("http://127.0.0.1:9/",), "usage"),
    ]:
        lines = generate(bench, *arguments, code=2)
        assert lines[0].startswith(f"{name}: "), lines
