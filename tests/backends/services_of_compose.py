"""Both services as infra/compose.yaml starts them, with their commands and variables. Only addresses and the folder of the
programs differ."""

import json
import os
import signal
import subprocess
import urllib.request

from bench import TIMEOUT_SECONDS, log_tail, same, wait_for_exit
from program import Running
from services import Services, producer_url

# The folder of the programs in the images.
IMAGE_FOLDER = "/usr/local/bin"


class ComposeServices(Services):
    """The services `local-stack` and `onboarding-api` during a `with` block.

    `hosts` are those of the collector and of the metrics of the local stack. `variables` are additional variables of both
    services, and `options` are additional options of the local stack.
    """

    def __init__(self, compose, programs, folder, hosts, variables, options):
        self.folder = folder
        self.logs = {name: folder / f"{name}.log" for name in ("local-stack", "onboarding-api")}
        self.requests = []
        self.running = []
        stack, producer = compose["local-stack"], compose["onboarding-api"]
        [port] = [argument.partition("=")[2] for argument in stack["command"] if argument.startswith("--sqs-port=")]
        self.queues = f"http://127.0.0.1:{port}"
        collector = {"http://collector:": f"http://{hosts['collector']}:"}
        metrics = {"--metrics-address=0.0.0.0:": f"--metrics-address={hosts['local-stack']}:"}
        replaced = collector | metrics | {f"{IMAGE_FOLDER}/": f"{programs.services}/", f"--sqs-port={port}": "--sqs-port=0"}
        own = [f"--env={name}={value}" for name, value in variables.items()]
        self.command = [programs.baton, *replace_all(stack["command"], replaced), *own, "--json", *options]
        # The local stack publishes the port of onboarding-api, because they share a network namespace.
        listen = producer["environment"]["LISTEN_ADDR"]
        same(listen, f"0.0.0.0:{stack['ports'][0]['target']}", "LISTEN_ADDR of onboarding-api")
        self.producer = programs.services / "onboarding-api"
        self.replaced = collector | {listen: "127.0.0.1:0"}
        self.environment = producer["environment"] | variables

    def __enter__(self):
        try:
            queues = self.sqs = self.start_stack()
            names, values = zip(*self.environment.items(), strict=True)
            environment = dict(zip(names, replace_all(values, self.replaced | {self.queues: queues}), strict=True))
            self.start("onboarding-api", [self.producer], environment, subprocess.DEVNULL)
            self.url = producer_url(self.logs["onboarding-api"])
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def leave_messages(self):
        """Leaves a message in each state in the queues: delayed, in flight until its visibility timeout, and waiting."""
        self.send_message("onboarding", "not an onboarding", 900)
        self.send_message("onboarding", "not an onboarding")
        self.send_message("onboarding-dlq", "not an onboarding")

    def send_message(self, queue, body, delay=0):
        message = {"QueueUrl": f"{self.sqs}/000000000000/{queue}", "MessageBody": body, "DelaySeconds": delay}
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
        urllib.request.urlopen(urllib.request.Request(self.sqs, json.dumps(message).encode(), headers), timeout=TIMEOUT_SECONDS).close()

    def start_stack(self):
        """Starts the local stack, and returns the URL of its queues."""
        process = self.start("local-stack", self.command, {}, subprocess.PIPE)
        line = process.stdout.readline()
        if not line:
            process.wait(TIMEOUT_SECONDS)
            raise AssertionError(f"local-stack did not start: {log_tail(self.logs['local-stack'])}")
        return json.loads(line)["sqs"]

    def start(self, name, command, environment, output):
        """Starts a program, whose log is its standard error. Without a pipe, the log includes its standard output."""
        with self.logs[name].open("wb") as log:
            process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **environment},
                stdin=subprocess.DEVNULL,
                stdout=output if output == subprocess.PIPE else log,
                stderr=log,
                text=True,
            )
        self.running.append(Running(name, process, self.logs[name]))
        return process

    def stop(self):
        """Stops the producer, and then the local stack."""
        while self.running:
            process = self.running.pop().process
            process.send_signal(signal.SIGTERM)
            if process.stdout:
                process.stdout.close()
            wait_for_exit(process)

    def streams(self):
        """Returns the log that contains the lines of all execution environments of the function."""
        return [self.logs["local-stack"]]


def replace_all(texts, replaced):
    """Returns texts with other addresses and folders. Each original must occur in one of them."""
    texts = list(texts)
    for original, replacement in replaced.items():
        assert any(original in text for text in texts), f"infra/compose.yaml: expected {original} in {texts}"
        texts = [text.replace(original, replacement) for text in texts]
    return texts
