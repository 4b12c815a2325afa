"""The set-up that each check receives: an emulator with the deployed stack, and a backend."""

import json
import pathlib
import secrets
import tempfile
from typing import NamedTuple

from backend import Backend
from bench import until
from emulator import Emulator
from producer import Task
from stack import Stack

KEY, NEW_KEY = "Bearer first", "Bearer second"


class Programs(NamedTuple):
    """Paths of the files that run.sh has built and installed."""

    root: pathlib.Path
    # The output of `sam build`.
    build: pathlib.Path
    # The folders with sam, aws and cargo-lambda, as in the variable PATH.
    tools: str
    emulator: pathlib.Path
    collector: pathlib.Path
    producer: pathlib.Path
    baton: pathlib.Path

    @property
    def configuration(self):
        return self.root / "infra" / "collector"


class Trace(NamedTuple):
    """The ids of a caller's span."""

    id: str
    span: str


def new_trace():
    return Trace(secrets.token_hex(16), secrets.token_hex(8))


class Bench:
    """The set-up, which exists during a `with` block."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.parent = folder
        self.emulator = Emulator(programs, self.folder())
        self.backend = Backend(programs, self.folder(), KEY)

    def folder(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.parent))

    def __enter__(self):
        self.emulator.__enter__()
        try:
            self.backend.__enter__()
            self.deploy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.backend.__exit__()
        self.emulator.__exit__()

    def deploy(self):
        """Deploys the whole stack, into the emulator's default network."""
        secret = self.emulator.client("secretsmanager").create_secret(Name="otlp", SecretString=json.dumps({"authorization": KEY}))
        self.secret = secret["ARN"]
        network = self.emulator.client("ec2")
        vpc = network.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [subnet["SubnetId"] for subnet in network.describe_subnets()["Subnets"] if subnet["VpcId"] == vpc]
        self.parameters = {
            "Stage": "staging",
            "ApplicationVersion": "1.4.0",
            "CxApplicationName": "shop",
            "ResourceAttributes": "team=growth",
            "OtlpEndpoint": self.backend.endpoint,
            "OtlpHeadersSecretArn": self.secret,
            "LogsExporter": "otlp",
            "QueueLatencyLimit": 60000,
            "ProducerImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/baton/onboarding-api:1",
            "VpcId": vpc,
            "LoadBalancerSubnetIds": ",".join(subnets[:2]),
            "TaskSubnetIds": ",".join(subnets[:2]),
        }
        self.stack = self.new_stack("whole")
        self.stack.deploy(**self.parameters)

    def new_stack(self, name):
        return Stack(self.emulator, name)

    def task(self, stack):
        """Returns the producer's task, as the service of a stack would start it."""
        found = self.emulator.task_definition(stack.resource("ProducerTask"))
        return Task(self.emulator, self.folder(), found["containerDefinitions"])

    def body(self, customer):
        return json.dumps({"customer_id": customer, "email": f"{customer}@example.com", "plan": "team"})

    def processed(self, trace, deliveries):
        """Waits for the spans of the deliveries of a message, and returns them."""

        def found():
            return [span for span in self.backend.trace(trace.id) if span.kind == "CONSUMER"]

        until(lambda: len(found()) >= deliveries, lambda: f"spans of the deliveries: {found()}, expected {deliveries}")
        return found()

    def version(self):
        """Returns the version of the function that the queue invokes."""
        alias = self.emulator.client("lambda").get_alias(FunctionName=self.stack.outputs["FunctionName"], Name="live")
        return alias["FunctionVersion"]
