"""Checks of docs/deploy.md: runs its commands in the order of the page."""

from bench import check, same, until
from page import Page, checkout

STACK = "baton"
# Sections whose commands are not run, and the reasons.
NOT_RUN = {"Messages in the dead-letter queue": "the emulator does not support the redrive of a queue"}


def reader(bench):
    """Returns the page, whose commands run in a copy of the repository after `sam build`."""
    folder = checkout(bench.programs.root, bench.folder())
    (folder / ".aws-sam").mkdir()
    (folder / ".aws-sam" / "build").symlink_to(bench.programs.build)
    subnets = bench.parameters["TaskSubnetIds"]
    replaced = {
        "https://otlp.example.com:4318": bench.backend.endpoint,
        "https://tempo.example.com": bench.backend.endpoint,
        "Bearer KEY": bench.backend.key,
        "vpc-0a1b2c3d": bench.parameters["VpcId"],
        "subnet-0a1b2c3d,subnet-1a2b3c4d": subnets,
        "subnet-2a3b4c5d,subnet-3a4b5c6d": subnets,
    }
    return Page(bench.emulator, bench.programs.root / "docs" / "deploy.md", folder, bench.folder() / "state", replaced)


def parameters(bench):
    """Returns the stack's parameters."""
    (stack,) = bench.emulator.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}


@check
def the_page_about_deployment_is_right(bench):
    """The commands of docs/deploy.md deploy the function and the producer, check them, and remove everything."""
    page = reader(bench)
    lines = page.run("The function and its queue").splitlines()
    same(lines.count("all checks passed"), 2, "results of infra/validate.sh")
    assert any(line.startswith("ok      the trace is in the backend") for line in lines), lines
    page.run("The producer", "From a request to its trace", "Alarms and the dashboard")
    found = parameters(bench)
    assert found["AlarmTopicArn"].endswith(":baton-alarms"), found["AlarmTopicArn"]
    assert found["ProducerImage"].endswith("/baton/onboarding-api:1.0.0"), found["ProducerImage"]
    same(found["OtlpEndpoint"], bench.backend.endpoint, "a parameter of the first deployment")
    check_update(bench, page)
    page.run("Rotating the key")
    check_removal(bench, page)
    page.check_complete(NOT_RUN)


def alias(bench, page):
    """Returns the version that the queue invokes, and its variables."""
    client, name = bench.emulator.client("lambda"), page.output("FunctionName")
    version = client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    return version, client.get_function_configuration(FunctionName=name, Qualifier=version)["Environment"]["Variables"]


def check_update(bench, page):
    first, _ = alias(bench, page)
    # The emulator has no load balancer.
    with bench.task(bench.new_stack(STACK)) as task:
        page.run("Updates", API_URL=task.url)
    version, variables = alias(bench, page)
    assert "service.version=1.1.0" in variables["OTEL_RESOURCE_ATTRIBUTES"], variables
    page.run("Rolling back")
    version, variables = alias(bench, page)
    same(version, "1", "the version after the roll-back")
    assert "BATON_MAX_RECEIVE_COUNT" in variables, variables


def check_removal(bench, page):
    page.run("Removing everything")
    client = bench.emulator.client("cloudformation")

    def left():
        stacks = client.list_stacks()["StackSummaries"]
        names = {stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"}
        return names & {STACK, f"{STACK}-repositories"}

    until(lambda: not left(), lambda: f"remaining stacks: {left()}")
    tables = bench.emulator.client("dynamodb").list_tables()["TableNames"]
    same([table for table in tables if table.startswith(f"{STACK}-")], [], "remaining tables")
