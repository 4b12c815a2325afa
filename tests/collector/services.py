"""The real binaries of both services in the local stack: queue, event source mapping, and environments that
freeze between invocations."""

import concurrent.futures
import json
import os
import secrets
import shlex
import signal
import subprocess
import urllib.error
import urllib.request
from typing import NamedTuple

from bench import TIMEOUT_SECONDS, wait_for_exit, log_tail, until

# Concurrent clients, so that batches contain several messages.
CLIENTS = 4

# Variables of both services, in addition to those for the Collector.
VARIABLES = {
    "OTEL_LOGS_EXPORTER": "otlp",
    # Milliseconds. The default of 5 s would delay the producer's last spans.
    "OTEL_BSP_SCHEDULE_DELAY": "300",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "RUST_LOG": "info",
}


class Request(NamedTuple):
    """A request to the producer, with the ids of the caller's span."""

    customer: str
    trace: str
    span: str


def new_request(customer):
    return Request(customer, secrets.token_hex(16), secrets.token_hex(8))


class Services:
    """A stack that runs during a `with` block. `variables` name the Collector; `options` are for `baton up`."""

    def __init__(self, programs, binaries, folder, variables, options=()):
        self.folder = folder
        self.log = folder / "stack.log"
        self.requests = []
        function = self.wrapped(binaries / "onboarding-lambda", variables, 'exec "$program" >>"$folder/function.$$.log"')
        producer = self.wrapped(binaries / "onboarding-api", variables, 'exec "$program"')
        self.command = [programs.baton, "up", "--json", "--logs", "--function", function, "--producer", producer, *options]

    def wrapped(self, binary, variables, run):
        """Writes a script with the binary's name that sets the variables and runs the binary.

        The function's standard output goes to a separate file for each environment, like a log stream.
        """
        # The stack sets the endpoint of its own receiver.
        lines = ["unset $(env | sed -n 's/^\\(OTEL_EXPORTER_[A-Z_]*\\)=.*/\\1/p')"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in (VARIABLES | variables).items()]
        script = self.folder / binary.name
        program, folder = shlex.quote(str(binary)), shlex.quote(str(self.folder))
        script.write_text("\n".join(["#!/bin/sh", *lines, f"program={program} folder={folder}", run, ""]))
        script.chmod(0o755)
        return script

    def __enter__(self):
        # A clean environment, because a developer's AWS_* and OTEL_* variables would change the
        # results.
        environment = {"PATH": os.environ["PATH"]}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(TIMEOUT_SECONDS)
            raise AssertionError(f"the stack did not start: {log_tail(self.log)}")
        started = json.loads(line)
        self.url, self.sqs = started["producer"], started["sqs"]
        return self

    def __exit__(self, *_):
        if self.process:
            self.stop()

    def stop(self):
        """Stops the stack with SIGTERM."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        wait_for_exit(process)

    def onboard(self, count):
        """Sends `count` requests, each with a separate trace, and waits until all are accepted."""
        begun = len(self.requests)
        new = [new_request(f"c-{begun + number}") for number in range(count)]
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(self.send, new))
        self.requests += new
        return new

    def send(self, request):
        with post(self.url, request) as response:
            assert response.status == 202, response.status

    def streams(self):
        """Returns the files with the function's standard output, one for each environment."""
        return sorted(self.folder.glob("function.*.log"))


def producer_url(log):
    """Waits for the log line `listening` of a producer, and returns the URL with its address."""

    def address():
        lines = [json.loads(line) for line in log.read_text().split("\n")[:-1]]
        return next((line["address"] for line in lines if line.get("message") == "listening"), None)

    return "http://" + until(address, lambda: f"the producer does not listen: {log_tail(log)}")


class Producer:
    """A producer with an unreachable queue, which runs during a `with` block."""

    def __init__(self, binaries, folder, variables):
        self.binary = binaries / "onboarding-api"
        self.log = folder / "producer.log"
        # The variable is required; no process listens on port 9.
        queue = {"QUEUE_URL": "http://127.0.0.1:9/000000000000/onboarding", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9"}
        account = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        # There is no load balancer to wait for.
        own = {"LISTEN_ADDR": "127.0.0.1:0", "OTEL_SERVICE_NAME": self.binary.name, "SHUTDOWN_GRACE_PERIOD": "0"}
        self.environment = own | queue | account | VARIABLES | variables

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([self.binary], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.url = producer_url(self.log)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        wait_for_exit(self.process)

    def fail(self):
        """Sends a request that the producer cannot accept."""
        request = new_request("c-failed")
        try:
            post(self.url, request).close()
        except urllib.error.HTTPError as error:
            error.close()
            return request
        raise AssertionError("the request was accepted without a queue")


def post(url, request):
    """Sends a request to a producer."""
    body = {"customer_id": request.customer, "email": f"{request.customer}@example.com", "plan": "team"}
    headers = {"content-type": "application/json", "traceparent": f"00-{request.trace}-{request.span}-01"}
    call = urllib.request.Request(f"{url}/onboarding", json.dumps(body).encode(), headers)
    return urllib.request.urlopen(call, timeout=TIMEOUT_SECONDS)
