"""A backend that accepts OTLP only with its key, and passes it to a real Collector, which stores it."""

import http.client
import json

from collector import Collector
from servers import Handler, Server


class Backend:
    """A backend that runs during a `with` block."""

    def __init__(self, programs, folder, key):
        self.collector = Collector(programs, folder)
        self.key = key
        # Number of requests with a wrong key or without one.
        self.refused = 0
        # While it is unavailable, it responds with 503.
        self.available = True

    def __enter__(self):
        self.collector.start()
        self.server = Server(Relay, self)
        self.endpoint = f"http://{self.server.address}"
        return self

    def __exit__(self, *_):
        self.server.close()
        self.collector.kill()

    def trace(self, trace_id):
        """Returns the spans of a trace that have arrived."""
        return [span for span in self.collector.spans() if span.trace == trace_id]


class Relay(Handler):
    """Passes requests with the right key to the Collector, and responds to a GET with a trace."""

    def do_GET(self):
        backend = self.server.owner
        spans = backend.trace(self.path.removeprefix("/api/traces/"))
        body = json.dumps([{"name": span.name, "service": span.resource["service.name"]} for span in spans])
        self.respond(200 if spans else 404, body.encode(), {"content-type": "application/json"})

    def do_POST(self):
        backend, body = self.server.owner, self.body()
        if self.headers.get("authorization") != backend.key:
            backend.refused += 1
            self.respond(401)
            return
        if not backend.available:
            self.respond(503)
            return
        headers = {name: value for name, value in self.headers.items() if name.lower().startswith("content-")}
        connection = http.client.HTTPConnection(backend.collector.endpoint("http", scheme=""), timeout=10)
        connection.request("POST", self.path, body, headers)
        response = connection.getresponse()
        self.respond(response.status, response.read(), {"content-type": response.getheader("content-type", "")})
        connection.close()
