"""The stack of infra/compose.yaml without containers: the same files, flags and variables, with other addresses and
folders."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request
from typing import NamedTuple

from apis import Loki, Prometheus, Tempo
from bench import log_tail, responds, until, wait_for_exit
from collector import free_host
from services import Services

# Enough for several batches in more than one environment.
REQUESTS = 20
STOP_SECONDS = 10


class Programs(NamedTuple):
    """Paths of the programs. `loki` and `tempo` can be missing."""

    prometheus: pathlib.Path
    collector: pathlib.Path
    # Folder with both services.
    services: pathlib.Path
    baton: pathlib.Path
    loki: pathlib.Path | None
    tempo: pathlib.Path | None


class Program:
    """A program that runs during a `with` block, started with the command of its service in the Compose file."""

    def __init__(self, name, command, folder, ready, variables=None):
        self.name = name
        self.command = command
        self.ready = ready
        self.log = folder / f"{name}.log"
        self.environment = {"PATH": os.environ["PATH"], **(variables or {})}

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(self.is_ready, lambda: f"{self.name} is not ready: {log_tail(self.log)}")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def is_ready(self):
        assert self.process.poll() is None, f"{self.name} exited: {log_tail(self.log)}"
        return responds(self.ready)

    def __exit__(self, *_):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        # Killed if it has not stopped in time, as Docker does. No check needs a clean shutdown.
        with contextlib.suppress(subprocess.TimeoutExpired):
            wait_for_exit(self.process, STOP_SECONDS)


class Stack:
    """All programs, and the requests whose telemetry they received."""

    def __init__(self, files, programs, folder):
        self.files = files
        self.programs = programs
        self.folder = folder
        self.compose = files.compose()["services"]
        self.hosts = {name: free_host() for name in ("prometheus", "loki", "tempo", "collector")}
        self.prometheus = Prometheus(self.url("prometheus", 9090))
        self.loki = Loki(self.url("loki", 3100))
        self.tempo = Tempo(self.url("tempo", 3200))
        self.running = contextlib.ExitStack()

    def url(self, name, port):
        return f"http://{self.hosts[name]}:{port}"

    def start(self):
        """Starts all programs, those that receive before those that send, and sends requests."""
        self.running.enter_context(self.prometheus_program())
        if self.programs.loki:
            self.running.enter_context(self.loki_program())
        if self.programs.tempo:
            self.running.enter_context(self.tempo_program())
        self.collector = self.running.enter_context(self.collector_program())
        self.began = time.time()
        self.services = self.running.enter_context(self.service_programs(self.folder))
        self.requests = self.services.onboard(REQUESTS)

    def onboard_directly(self):
        """Sends one more request, from a client that sends no trace context."""
        body = {"customer_id": "c-direct", "email": "c-direct@example.com", "plan": "team"}
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.services.url}/onboarding", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=STOP_SECONDS) as response:
            assert response.status == 202, response.status

    def stop(self):
        """Stops all programs in reverse order, even if one of them fails to stop."""
        self.running.close()

    def arguments(self, name, **replaced):
        """Returns the arguments of a service in the Compose file, with values of flags replaced."""
        arguments = []
        for argument in self.compose[name]["command"]:
            flag, _, value = argument.partition("=")
            arguments.append(f"{flag}={replaced.pop(flag.strip('-'), value)}" if value else flag)
        assert not replaced, f"infra/compose.yaml: {name} is started without {', '.join(replaced)}"
        return arguments

    def overridden(self, path, replacements):
        """Writes a copy of a file of `infra` with other addresses and folders, and returns its path."""
        text = (self.files.infra / path).read_text()
        for original, replacement in replacements.items():
            assert original in text, f"infra/{path} does not contain {original}"
            text = text.replace(original, str(replacement))
        copy = self.folder / pathlib.Path(path).name
        copy.write_text(text)
        return copy

    def prometheus_program(self):
        host = self.hosts["prometheus"]
        targets = {
            "collector:8888": f"{self.hosts['collector']}:8888",
            "tempo:3200": f"{self.hosts['tempo']}:3200",
            "loki:3100": f"{self.hosts['loki']}:3100",
        }
        rules = self.files.infra / "prometheus/rules/*.yaml"
        # Frequent scrapes and evaluations save time.
        often = {"scrape_interval: 15s": "scrape_interval: 2s", "evaluation_interval: 15s": "evaluation_interval: 2s"}
        file = self.overridden("prometheus/prometheus.yaml", {**often, "localhost:9090": f"{host}:9090", "rules/*.yaml": rules, **targets})
        flags = {"config.file": file, "storage.tsdb.path": self.folder / "prometheus"}
        command = [self.programs.prometheus, *self.arguments("prometheus", **flags), f"--web.listen-address={host}:9090"]
        return Program("prometheus", command, self.folder, self.url("prometheus", 9090) + "/-/ready")

    def loki_program(self):
        host = self.hosts["loki"]
        file = self.overridden("loki/loki.yaml", {"0.0.0.0": host, "127.0.0.1": host, "/loki": self.folder / "loki"})
        command = [self.programs.loki, *self.arguments("loki", **{"config.file": file})]
        return Program("loki", command, self.folder, self.url("loki", 3100) + "/ready")

    def tempo_program(self):
        replacements = {
            "0.0.0.0": self.hosts["tempo"],
            "9095": free_port(),
            "/var/tempo": self.folder / "tempo",
            "http://prometheus:9090": self.url("prometheus", 9090),
        }
        file = self.overridden("tempo/tempo.yaml", replacements)
        command = [self.programs.tempo, *self.arguments("tempo", **{"config.file": file})]
        return Program("tempo", command, self.folder, self.url("tempo", 3200) + "/ready")

    def collector_program(self):
        variables = {
            "OTLP_LISTEN_HOST": self.hosts["collector"],
            "TEMPO_ENDPOINT": self.url("tempo", 4318),
            "LOKI_ENDPOINT": self.url("loki", 3100) + "/otlp",
            "PROMETHEUS_ENDPOINT": self.url("prometheus", 9090) + "/api/v1/otlp",
        }
        command = [self.programs.collector, *(f"--config={layer}" for layer in self.layers())]
        return Program("collector", command, self.folder, self.url("collector", 13133), variables)

    def layers(self):
        """Returns the files that configure the Collector. They discard data of missing backends."""
        [mount] = self.compose["collector"]["volumes"]
        paths = [argument.removeprefix(f"--config={mount['target']}/") for argument in self.compose["collector"]["command"]]
        missing = [f"backends/{name}.yaml" for name in ("loki", "tempo") if not getattr(self.programs, name)]
        layers = [path for path in paths if path not in missing] + (["backends/discard.yaml"] if missing else [])
        return [pathlib.Path(mount["source"]) / layer for layer in layers]

    def service_programs(self, folder, variables=None, options=()):
        """Returns both services, with the resource attributes that they have in the Compose file."""
        own = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url("collector", 4318),
            "OTEL_RESOURCE_ATTRIBUTES": self.compose["onboarding-api"]["environment"]["OTEL_RESOURCE_ATTRIBUTES"],
        }
        return Services(self.programs, self.programs.services, folder, own | (variables or {}), options)


def free_port():
    """Returns a free port of 127.0.0.1, for Tempo's internal server, whose address cannot be changed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
