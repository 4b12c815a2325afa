"""Checks of docs/deploy-with-cargo-lambda.md: runs its commands in the order in which a reader does."""

from bench import check, same, until
from page import Page, checkout
from setup import new_trace

FUNCTION, QUEUE, TABLE = "onboarding-lambda", "onboarding", "onboardings"
# Sections whose commands are not run, and the reasons.
NOT_RUN = {
    "Your own function": "tests/packages creates a function from the template",
    "Build": "the section about updates has the same command",
    "Paths of the build machine": "the variable would build all dependencies again; tests/arm64 sets it",
}


def reader(bench):
    """Returns the page, whose commands run in a copy of the repository."""
    # Without `--arm64`, because the emulator runs the function on this machine.
    replaced = {"https://ingress.eu1.coralogix.com:443": bench.backend.endpoint, "SECRET_ARN": bench.secret, " --arm64": ""}
    page = bench.programs.root / "docs" / "deploy-with-cargo-lambda.md"
    return Page(bench.emulator, page, checkout(bench.programs.root, bench.folder()), bench.folder() / "state", replaced)


def alias(bench):
    """Returns the version that the queue invokes, and its variables."""
    client = bench.emulator.client("lambda")
    version = client.get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"]
    return version, client.get_function_configuration(FunctionName=FUNCTION, Qualifier="live")["Environment"]["Variables"]


def check_message(bench, customer):
    """Sends a message, and checks that it is stored and that its trace continues at the backend."""
    trace, sqs = new_trace(), bench.emulator.client("sqs")
    attributes = {"traceparent": {"DataType": "String", "StringValue": f"00-{trace.id}-{trace.span}-01"}}
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=bench.body(customer), MessageAttributes=attributes)
    key = {"pk": {"S": f"customer#{customer}"}}
    table = bench.emulator.client("dynamodb")
    until(lambda: table.get_item(TableName=TABLE, Key=key).get("Item"), lambda: f"{customer} is not stored: {bench.emulator.log_tail()}")
    (span,) = bench.processed(trace, 1)
    same((span.name, span.parent), (f"process {QUEUE}", trace.span), "the span of the message")


@check
def the_page_about_cargo_lambda_is_right(bench):
    """The commands of docs/deploy-with-cargo-lambda.md deploy the function, update it, roll it back, and remove it."""
    page = reader(bench)
    check_deployment(bench, page)
    check_update(bench, page)
    check_removal(bench, page)
    page.check_complete(NOT_RUN)


def check_deployment(bench, page):
    page.run("Before you start", "A queue and a table", "Role", "Settings", "Deploy", "Connect the queue")
    (mapping,) = bench.emulator.client("lambda").list_event_source_mappings(FunctionName=f"{FUNCTION}:live")["EventSourceMappings"]
    same(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"], "FunctionResponseTypes")
    check_message(bench, "c-cargo-1")


def check_update(bench, page):
    before, _ = alias(bench)
    page.run("Update")
    version, variables = alias(bench)
    assert version != before, f"the alias still points to version {version}"
    same((variables["BATON_CONCURRENCY"], variables["TABLE_NAME"]), ("5", TABLE), "the variables")
    check_message(bench, "c-cargo-2")
    page.run("Roll back")
    version, variables = alias(bench)
    same(version, before, "the version after the roll-back")
    assert "BATON_CONCURRENCY" not in variables, variables


def check_removal(bench, page):
    page.run("Remove")
    functions = bench.emulator.client("lambda").list_functions()["Functions"]
    assert FUNCTION not in [function["FunctionName"] for function in functions], functions
