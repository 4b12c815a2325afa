"""The real Collector with the configuration that is deployed. Only where its data goes, and how often, is laid over it."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import urllib.request

import received
from bench import ended, last_words, until

# Those of the configuration, which stay as they are: each Collector gets an address of loopback for itself instead.
PORTS = {"grpc": 4317, "http": 4318, "health": 13133}
# The exporter that is swapped for files.
BACKEND = "otlp_http"

# Laid over every configuration: waiting longer for span metrics shows nothing more, and the Collector's own metrics would be offered on a
# port that another one may have.
COMMON = {
    "connectors": {"span_metrics": {"metrics_flush_interval": "1s"}},
    "service": {"telemetry": {"metrics": {"level": "none"}}},
}


class Collector:
    """Runs from the start of a `with` to its end, unless it is stopped in between.

    What `overlay` says for its address is laid over as well. With a `backend`, another Collector, it sends there as it would to any.
    """

    def __init__(self, programs, folder, overlay=None, backend=None):
        self.programs = programs
        self.folder = folder
        self.host = free_host()
        self.log = folder / "collector.log"
        self.process = None
        # One is demanded; nobody listens at port 9.
        self.environment = {
            "PATH": os.environ["PATH"],
            "OTLP_LISTEN_HOST": self.host,
            "OTLP_ENDPOINT": backend.endpoint("http") if backend else "http://127.0.0.1:9",
        }
        self.pipelines = self.configured()["service"]["pipelines"]
        self.overlay = folder / "overlay.yaml"
        # JSON is YAML.
        laid_over = COMMON if backend else merged(COMMON, self.into_files())
        self.overlay.write_text(json.dumps(merged(laid_over, overlay(self.host) if overlay else {})))

    def configured(self):
        """The configuration that is deployed, as the Collector itself reads it."""
        command = [self.programs.collector, "print-config", "--format=json", "--mode=unredacted", f"--config={self.programs.configuration}"]
        return json.loads(subprocess.run(command, env=self.environment, capture_output=True, check=True).stdout)

    def into_files(self):
        """Every pipeline writes into a file of its own what it would have sent to the backend."""
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
        """Starts it, and waits until it says that it is healthy."""
        command = [self.programs.collector, f"--config={self.programs.configuration}", f"--config={self.overlay}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self.healthy, lambda: f"the Collector is healthy; its log ends: {last_words(self.log)}")

    def healthy(self):
        assert self.process.poll() is None, f"the Collector ended: {last_words(self.log)}"
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://{self.host}:{PORTS['health']}/", timeout=1) as answer:
                return answer.status == 200
        return False

    def stop(self):
        """Has it end in order: it writes what it has taken."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        assert ended(process) == 0, f"the Collector ended badly: {last_words(self.log)}"

    def kill(self):
        """Ends it at once."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def endpoint(self, protocol, scheme="http://"):
        """Where senders find it."""
        return f"{scheme}{self.host}:{PORTS[protocol]}"

    def spans(self):
        return received.spans(self.file("traces"))

    def records(self):
        return received.records(self.file("logs"))

    def points(self):
        return received.points(self.file("metrics"))


def free_host():
    """An address of loopback on which nobody has the Collector's ports."""
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
    """Two configurations as the Collector lays one over the other: maps are joined, the rest is replaced."""
    joined = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        joined[key] = merged(below[key], value) if both else value
    return joined
