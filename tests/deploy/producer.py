"""The onboarding API and its sidecar, started with the variables and commands of a deployed task."""

import contextlib
import json
import os
import signal
import subprocess
import urllib.request

from bench import log_tail, until, wait_for_exit
from collector import free_host


class Task:
    """The containers of a registered task definition as processes, during a `with` block."""

    def __init__(self, emulator, folder, containers):
        self.emulator = emulator
        self.folder = folder
        self.containers = {container["name"]: container for container in containers}
        # The loopback address of the task, which its containers share.
        self.host = free_host()
        self.processes = []

    def __enter__(self):
        try:
            # In the order of `dependsOn`: the producer starts after the collector.
            self.start("collector", self.emulator.programs.collector)
            self.start("onboarding-api", self.emulator.programs.producer)
            self.url = "http://" + until(self.address, lambda: f"the producer does not listen: {log_tail(self.log('onboarding-api'))}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stops the producer first, as ECS does."""
        while self.processes:
            process = self.processes.pop()
            process.send_signal(signal.SIGTERM)
            wait_for_exit(process)

    def start(self, name, program):
        container = self.containers[name]
        own = {
            "PATH": os.environ["PATH"],
            # In AWS, ECS provides the credentials of the task's role, and the task has the addresses.
            **{key: value for key, value in self.emulator.environment.items() if key.startswith("AWS_")},
            "OTLP_LISTEN_HOST": self.host,
        }
        command = [program, *container.get("command", [])]
        with self.log(name).open("wb") as log:
            environment = own | self.variables(container)
            process = subprocess.Popen(command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)

    def variables(self, container):
        """Returns a container's variables, including those of its secrets."""
        plain = {variable["name"]: variable["value"] for variable in container.get("environment", [])}
        if "LISTEN_ADDR" in plain:
            plain |= {"LISTEN_ADDR": f"{self.host}:0", "SHUTDOWN_GRACE_PERIOD": "0"}
        for name, value in plain.items():
            plain[name] = value.replace("http://127.0.0.1:4318", f"http://{self.host}:4318")
        return plain | {secret["name"]: self.secret(secret["valueFrom"]) for secret in container.get("secrets", [])}

    def secret(self, source):
        """Resolves `valueFrom` as ECS does: a parameter, or the key of a secret."""
        if ":ssm:" in source:
            name = source.split(":parameter/", 1)[1]
            return self.emulator.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        arn, key = source.removesuffix("::").rsplit(":", 1)
        value = self.emulator.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        return json.loads(value)[key]

    def log(self, name):
        return self.folder / f"{name}.log"

    def address(self):
        """Returns the address in the producer's log line `listening`."""
        assert self.processes[-1].poll() is None, f"the producer exited: {log_tail(self.log('onboarding-api'))}"
        for line in self.log("onboarding-api").read_text().split("\n")[:-1]:
            with contextlib.suppress(ValueError):
                fields = json.loads(line)
                if fields.get("message") == "listening":
                    return fields["address"]
        return None

    def onboard(self, customer, trace):
        """Sends a request to the producer, which must accept it."""
        body = {"customer_id": customer, "email": f"{customer}@example.com", "plan": "team"}
        headers = {"content-type": "application/json", "traceparent": f"00-{trace.id}-{trace.span}-01"}
        request = urllib.request.Request(f"{self.url}/onboarding", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.status == 202, response.status
