"""Checks of the whole stack: messages on every path through it, their telemetry, and updates."""

import json

from bench import check, same, until
from setup import KEY, NEW_KEY, new_trace

PRODUCER, FUNCTION = "onboarding-api", "onboarding-lambda"
# Resource attributes of both services, from the parameters of the deployment.
ATTRIBUTES = {
    "service.namespace": "onboarding",
    "service.version": "1.4.0",
    "deployment.environment.name": "staging",
    "cx.application.name": "shop",
    "team": "growth",
}
# The services' own metrics of rate, errors and durations.
METRICS = {(PRODUCER, "http.server.request.duration"), (FUNCTION, "messaging.process.duration"), (FUNCTION, "faas.invocations")}
# A message that can never succeed.
INVALID = '{"customer_id":'


def expected_chain(stack):
    """Returns the spans of a request from the root: service, name and kind."""
    queue = stack.outputs["QueueUrl"].rsplit("/", 1)[1]
    return [
        (PRODUCER, "POST /onboarding", "SERVER"),
        (PRODUCER, f"send {queue}", "PRODUCER"),
        (FUNCTION, f"process {queue}", "CONSUMER"),
        (FUNCTION, f"PutItem {stack.outputs['TableName']}", "CLIENT"),
    ]


def chain(spans, parent):
    """Returns the spans from a parent downwards: service, name and kind."""
    found = []
    while True:
        children = [span for span in spans if span.parent == parent]
        if not children:
            return found
        same(len(children), 1, f"children of {parent}")
        parent = children[0].id
        found.append((children[0].resource["service.name"], children[0].name, children[0].kind))


@check
def a_deployed_stack_has_what_its_parameters_say(bench):
    """The stack has the function, the alias and the task that its parameters describe."""
    function = bench.stack.function()
    same((function["MemorySize"], function["Timeout"]), (256, 30), "memory and timeout")
    variables = function["Environment"]["Variables"]
    assert KEY not in json.dumps(variables), "the key is in the function's configuration"
    same(variables["OTEL_EXPORTER_OTLP_HEADERS_SECRET"], bench.secret, "the secret")
    same(variables["BATON_MAX_RECEIVE_COUNT"], "5", "BATON_MAX_RECEIVE_COUNT")
    same(variables["BATON_CLOUDWATCH_QUEUE_LATENCY"], "on", "BATON_CLOUDWATCH_QUEUE_LATENCY")
    alias = bench.emulator.client("lambda").get_alias(FunctionName=bench.stack.outputs["FunctionName"], Name="live")
    assert alias["FunctionVersion"] != "$LATEST", alias
    mapping = bench.emulator.client("lambda").list_event_source_mappings()["EventSourceMappings"][0]
    assert mapping["FunctionArn"].endswith(":live"), mapping["FunctionArn"]
    same(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"], "FunctionResponseTypes")


@check
def a_request_is_stored_and_its_trace_is_whole(bench):
    """The customer of a request is in the table, and the trace at the backend has every span of both services."""
    trace = new_trace()
    with bench.task(bench.stack) as task:
        task.onboard("c-1", trace)
        item = bench.stack.stored("c-1")
    same(item["email"]["S"], "c-1@example.com", "the item")
    wanted = expected_chain(bench.stack)
    until(lambda: len(bench.backend.trace(trace.id)) >= len(wanted), lambda: f"spans: {bench.backend.trace(trace.id)}")
    spans = bench.backend.trace(trace.id)
    same(chain(spans, trace.span), wanted, "the trace")
    process = next(span for span in spans if span.kind == "CONSUMER")
    (batch,) = process.links
    until(lambda: any(span.key == batch for span in bench.backend.collector.spans()), "the span of the batch is missing")
    for span in spans:
        stated = {name: span.resource.get(name) for name in ATTRIBUTES}
        same(stated, ATTRIBUTES, f"resource of {span}")
    same({span.resource["cx.subsystem.name"] for span in spans}, {PRODUCER, FUNCTION}, "cx.subsystem.name")
    same(bench.backend.refused, 0, "requests without the key")


@check
def metrics_and_logs_of_both_services_arrive(bench):
    """The metrics and the log records of both services are at the backend."""

    def missing():
        points, records = bench.backend.collector.points(), bench.backend.collector.records()
        metrics = METRICS - {(point.resource["service.name"], point.name) for point in points}
        return metrics | ({PRODUCER, FUNCTION} - {record.resource["service.name"] for record in records if record.trace})

    until(lambda: not missing(), lambda: f"missing: {missing()}")


@check
def a_permanent_failure_is_dead_at_once(bench):
    """A message that can never succeed is in the dead-letter queue after one delivery, with its trace."""
    trace = new_trace()
    bench.stack.send(INVALID, trace)
    message = bench.stack.dead()
    same(message["Body"], INVALID, "the body")
    same(message["MessageAttributes"]["traceparent"]["StringValue"].split("-")[1], trace.id, "traceparent")
    spans = bench.processed(trace, 1)
    assert spans[0].attributes["error.type"], spans[0].attributes
    same(bench.stack.messages("QueueUrl"), 0, "messages left in the queue")


@check
def a_rotated_key_needs_no_deployment(bench):
    """After a change of the secret, the function reads it again when the backend refuses the old key."""
    bench.emulator.client("secretsmanager").put_secret_value(SecretId=bench.secret, SecretString=json.dumps({"authorization": NEW_KEY}))
    bench.backend.key = NEW_KEY
    refused = bench.backend.refused
    trace = new_trace()
    bench.stack.send(bench.body("c-2"), trace)
    bench.stack.stored("c-2")
    bench.processed(trace, 1)
    assert bench.backend.refused > refused, "the function did not use the old key first"


@check
def an_update_changes_what_its_parameters_say(bench):
    """An update changes the memory and the handling of permanent failures, and publishes a version."""
    before = bench.version()
    bench.stack.deploy(**bench.parameters | {"FunctionMemory": 512, "PermanentFailures": "retry", "ApplicationVersion": "1.5.0"})
    same(bench.stack.function()["MemorySize"], 512, "MemorySize")
    assert bench.version() != before, f"the alias still points to version {before}"
    trace = new_trace()
    bench.stack.send(INVALID, trace)
    message = bench.stack.dead()
    same(message["MessageAttributes"]["traceparent"]["StringValue"].split("-")[1], trace.id, "traceparent")
    assert "DeadLetterQueueSourceArn" in message["Attributes"], "SQS did not move the message to the dead-letter queue"
    spans = bench.processed(trace, 2)
    same({span.resource["service.version"] for span in spans}, {"1.5.0"}, "service.version")


@check
def the_function_can_be_deployed_without_a_producer(bench):
    """With default parameters, the stack is the queue, the table and the function, which exports nothing."""
    stack = bench.new_stack("function-only")
    stack.deploy()
    assert "ProducerUrl" not in stack.outputs, stack.outputs
    stack.send(bench.body("c-3"), new_trace())
    stack.stored("c-3")
