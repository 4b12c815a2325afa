"""ministack, an emulator of AWS that runs functions, and the AWS clients and command-line tools that use it."""

import json
import os
import signal
import socket
import subprocess
import urllib.request

import boto3
from bench import log_tail, responds, until, wait_for_exit
from spelling import in_camel_case

REGION = "eu-west-1"


class Emulator:
    """An emulator that runs during a `with` block. `programs` are the programs that run.sh has installed."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.folder = folder
        self.log = folder / "emulator.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        # A clean environment, because a developer's AWS_* and OTEL_* variables would change the
        # results. The functions that the emulator runs inherit the endpoint; without it, they would
        # call AWS.
        self.environment = {
            "PATH": f"{programs.tools}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_PAGER": "",
            "SAM_CLI_TELEMETRY": "0",
            # Seconds between two looks at a deployment.
            "SAM_CLI_POLL_DELAY": "0.5",
            # The folder of SAM's own settings.
            "__SAM_CLI_APP_DIR": str(folder),
        } | {name: value for name, value in os.environ.items() if name.startswith(("CARGO_", "RUSTUP_"))}

    def __enter__(self):
        own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": self.url.rsplit(":", 1)[1]}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.programs.emulator], env=self.environment | own, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self.is_ready, lambda: f"the emulator does not respond: {log_tail(self.log)}")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        wait_for_exit(self.process)

    def is_ready(self):
        assert self.process.poll() is None, f"the emulator exited: {log_tail(self.log)}"
        return responds(f"{self.url}/_ministack/health")

    def log_tail(self):
        return log_tail(self.log)

    def client(self, service):
        """Returns a client of boto3."""
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def task_definition(self, name):
        """Returns a task definition of ECS.

        Does not use boto3: the emulator keeps some keys in the spelling of CloudFormation, which boto3 would discard.
        """
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition",
            # The emulator reads the region from this header, and does not check the signature.
            "Authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/ecs/aws4_request, SignedHeaders=host, Signature=0",
        }
        request = urllib.request.Request(self.url, json.dumps({"taskDefinition": name}).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return in_camel_case(json.load(response)["taskDefinition"])

    def run(self, *command, cwd=None, code=0, **variables):
        """Runs a program with the emulator as AWS, and returns its output."""
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment | variables,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, f"{command[0]} exited with {done.returncode}, expected {code}: {done.stdout[-3000:]}"
        return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
