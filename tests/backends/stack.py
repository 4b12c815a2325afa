"""The stack of infra/compose.yaml without containers: the same files, flags and variables, with other addresses and
folders."""

import contextlib
import json
import pathlib
import socket
import time
import urllib.request
from typing import NamedTuple

from apis import Loki, Prometheus, Tempo
from bench import TIMEOUT_SECONDS
from collector import free_host
from program import Program
from services import Producer
from services_of_compose import ComposeServices

# Enough for several batches in more than one environment.
REQUESTS = 20
# Starts of Tempo, if another process takes its port.
ATTEMPTS = 3


class Programs(NamedTuple):
    """Paths of the programs. `loki` and `tempo` can be missing."""

    prometheus: pathlib.Path
    collector: pathlib.Path
    # Folder with both services.
    services: pathlib.Path
    baton: pathlib.Path
    loki: pathlib.Path | None
    tempo: pathlib.Path | None


class Stack:
    """All programs, and the requests whose telemetry they received."""

    def __init__(self, files, programs, folder):
        self.files = files
        self.programs = programs
        self.folder = folder
        self.compose = files.compose()["services"]
        self.hosts = {name: free_host() for name in ("prometheus", "loki", "tempo", "collector", "local-stack")}
        self.prometheus = Prometheus(self.url("prometheus", 9090))
        self.loki = Loki(self.url("loki", 3100))
        self.tempo = Tempo(self.url("tempo", 3200))
        self.running = contextlib.ExitStack()
        # Everything that must run while the checks do.
        self.started = []

    def url(self, name, port):
        return f"http://{self.hosts[name]}:{port}"

    def start(self):
        """Starts all programs, those that receive before those that send, and sends requests."""
        self.enter(self.prometheus_program())
        if self.programs.loki:
            self.enter(self.loki_program())
        if self.programs.tempo:
            self.start_tempo()
        self.collector = self.enter(self.collector_program())
        self.began = time.time()
        self.services = self.enter(self.service_programs(self.folder, self.hosts["local-stack"]))
        self.requests = self.services.onboard(REQUESTS)

    def enter(self, program):
        self.running.enter_context(program)
        self.started.append(program)
        return program

    def start_tempo(self):
        """Starts Tempo, and retries with another port if another process has taken the port that free_port found."""
        for attempt in range(ATTEMPTS):
            try:
                return self.enter(self.tempo_program())
            except AssertionError as error:
                if "address already in use" not in str(error) or attempt + 1 == ATTEMPTS:
                    raise

    def exited(self):
        """Returns descriptions of the programs that have exited, with the ends of their logs."""
        return [running.exited() for program in self.started for running in program.running if running.exited()]

    def onboard_directly(self):
        """Sends one more request, from a client that sends no trace context."""
        body = {"customer_id": "c-direct", "email": "c-direct@example.com", "plan": "team"}
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.services.url}/onboarding", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
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
            "local-stack:9325": f"{self.hosts['local-stack']}:9325",
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
        port = free_port()
        replacements = {
            "0.0.0.0": self.hosts["tempo"],
            "grpc_listen_port: 9095": f"grpc_listen_port: {port}",
            "127.0.0.1:9095": f"127.0.0.1:{port}",
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

    def service_programs(self, folder, host, variables=None, options=()):
        """Returns both services, with additional variables and options. `host` serves the metrics of the queues."""
        hosts = {"collector": self.hosts["collector"], "local-stack": host}
        return ComposeServices(self.compose, self.programs, folder, hosts, variables or {}, options)

    def producer_without_queue(self):
        return Producer(self.programs.services, self.folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url("collector", 4318)})


def free_port():
    """Returns a free port of 127.0.0.1, for Tempo's internal server, whose address cannot be changed."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
