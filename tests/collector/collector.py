"""The real Collector with the files in `infra/collector`. An overlay changes intervals, addresses and authentication,
and adds exporters to files."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess

import received
from bench import log_tail, responds, until, wait_for_exit
from collector_configuration import merged

# The ports in the configuration. Each Collector uses them on its own loopback address.
PORTS = {"grpc": 4317, "http": 4318, "health": 13133, "metrics": 8888}

SIGNALS = ("traces", "metrics", "logs")

# Files of a sidecar without its backend.
SIDECAR = ("base", "span-metrics-grafana")

# The connectors in these files.
SPAN_METRICS = {
    "span-metrics-grafana": ["span_metrics"],
    "span-metrics-coralogix": ["span_metrics", "span_metrics/compact", "span_metrics/db", "span_metrics/db_compact"],
}


class Collector:
    """A Collector that runs during a `with` block, unless it is stopped earlier.

    `files` are names in infra/collector. If none of them is a backend, or with `to_files`, the Collector writes each
    signal to a file. `overlay` is a function from the Collector's address to additional configuration. If `backend`, another Collector, is
    given, this one exports to it.
    """

    def __init__(self, programs, folder, overlay=None, backend=None, files=SIDECAR, variables=None, to_files=False):
        self.programs = programs
        self.folder = folder
        self.host = free_host()
        self.log = folder / "collector.log"
        self.process = None
        self.environment = {"PATH": os.environ["PATH"], "OTLP_LISTEN_HOST": self.host} | (variables or {})
        if backend:
            files = (*files, "backends/otlp")
            self.environment["OTLP_ENDPOINT"] = backend.endpoint("http")
        self.options = [f"--config={programs.configuration / name}.yaml" for name in files]
        changed = frequent_span_metrics(files)
        if to_files or not any(name.startswith("backends/") for name in files):
            changed = merged(changed, self.file_backend())
        self.overlay = folder / "overlay.yaml"
        # JSON is YAML.
        self.overlay.write_text(json.dumps(merged(changed, overlay(self.host) if overlay else {})))

    def configured(self):
        """Returns the deployed configuration as the Collector reads it."""
        command = [self.programs.collector, "print-config", "--format=json", "--mode=unredacted", *self.options]
        printed = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert printed.returncode == 0, printed.stderr
        return json.loads(printed.stdout)

    def file_backend(self):
        """Returns a backend that writes each signal to a file."""
        return {
            "exporters": {
                f"file/{signal}": {"path": str(self.file(signal)), "append": True, "flush_interval": "20ms"} for signal in SIGNALS
            },
            "service": {
                "pipelines": {f"{signal}/files": {"receivers": ["forward/backends"], "exporters": [f"file/{signal}"]} for signal in SIGNALS}
            },
        }

    def file(self, signal):
        return self.folder / f"{signal}.json"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process:
            self.kill()

    def start(self):
        """Starts the Collector and waits until its health check succeeds."""
        command = [self.programs.collector, *self.options, f"--config={self.overlay}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self.healthy, lambda: f"the Collector is not healthy; the end of its log: {log_tail(self.log)}")

    def healthy(self):
        assert self.process.poll() is None, f"the Collector exited: {log_tail(self.log)}"
        return responds(f"http://{self.host}:{PORTS['health']}/")

    def stop(self):
        """Stops the Collector with SIGTERM, so that it exports the data that it has accepted."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        assert wait_for_exit(process) == 0, f"the Collector failed during shutdown: {log_tail(self.log)}"
        warnings = [line for line in self.log.read_text().split("\n") if "deprecated" in line]
        assert not warnings, f"the configuration is out of date: {warnings}"

    def kill(self):
        """Kills the Collector."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def endpoint(self, protocol, scheme="http://"):
        """Returns the endpoint for senders."""
        return f"{scheme}{self.host}:{PORTS[protocol]}"

    def spans(self):
        return received.spans(self.file("traces"))

    def records(self):
        return received.records(self.file("logs"))

    def points(self):
        return received.points(self.file("metrics"))


def frequent_span_metrics(files):
    """Returns an overlay that exports span metrics every second, to save time."""
    names = [name for file in files for name in SPAN_METRICS.get(file, [])]
    return {"connectors": {name: {"metrics_flush_interval": "1s"} for name in names}}


def free_host():
    """Returns a loopback address on which the Collector's ports are free."""
    while True:
        host = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        with contextlib.ExitStack() as sockets:
            try:
                for port in PORTS.values():
                    sockets.enter_context(socket.socket()).bind((host, port))
            except OSError:
                continue
            return host
