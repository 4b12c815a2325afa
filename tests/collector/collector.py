"""The real Collector with the deployed configuration. An overlay changes only its exporters and intervals."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess

import received
from bench import log_tail, responds, until, wait_for_exit

# The ports in the configuration. Each Collector uses them on its own loopback address.
PORTS = {"grpc": 4317, "http": 4318, "health": 13133}
# The exporter that file exporters replace.
BACKEND = "otlp_http"

# The overlay of every configuration. A shorter interval of span metrics only saves time. The
# Collector's own metrics are disabled, because their port could be in use by another Collector.
COMMON = {
    "connectors": {"span_metrics": {"metrics_flush_interval": "1s"}},
    "service": {"telemetry": {"metrics": {"level": "none"}}},
}


class Collector:
    """A Collector that runs during a `with` block, unless it is stopped earlier.

    `overlay` takes the Collector's address and returns more configuration. With a `backend`, another Collector,
    it exports to that instead of to files.
    """

    def __init__(self, programs, folder, overlay=None, backend=None):
        self.programs = programs
        self.folder = folder
        self.host = free_host()
        self.log = folder / "collector.log"
        self.process = None
        # The variable is required; no process listens on port 9.
        self.environment = {
            "PATH": os.environ["PATH"],
            "OTLP_LISTEN_HOST": self.host,
            "OTLP_ENDPOINT": backend.endpoint("http") if backend else "http://127.0.0.1:9",
        }
        self.pipelines = self.configured()["service"]["pipelines"]
        self.overlay = folder / "overlay.yaml"
        # JSON is YAML.
        overlaid = COMMON if backend else merged(COMMON, self.file_exporters())
        self.overlay.write_text(json.dumps(merged(overlaid, overlay(self.host) if overlay else {})))

    def configured(self):
        """Returns the deployed configuration as the Collector reads it."""
        command = [self.programs.collector, "print-config", "--format=json", "--mode=unredacted", f"--config={self.programs.configuration}"]
        return json.loads(subprocess.run(command, env=self.environment, capture_output=True, check=True).stdout)

    def file_exporters(self):
        """Returns an overlay with which each pipeline writes its data to a separate file instead of the backend."""
        return {
            "exporters": {
                f"file/{name}": {"path": str(self.file(name)), "append": True, "flush_interval": "20ms"} for name in self.pipelines
            },
            "service": {
                "pipelines": {
                    name: {"exporters": [f"file/{name}" if exporter == BACKEND else exporter for exporter in parts["exporters"]]}
                    for name, parts in self.pipelines.items()
                }
            },
        }

    def file(self, pipeline):
        return self.folder / f"{pipeline.replace('/', '-')}.json"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process:
            self.kill()

    def start(self):
        """Starts the Collector and waits until its health check succeeds."""
        command = [self.programs.collector, f"--config={self.programs.configuration}", f"--config={self.overlay}"]
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


def merged(below, above):
    """Merges two configurations as the Collector does: maps are merged, other values replaced."""
    joined = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        joined[key] = merged(below[key], value) if both else value
    return joined
