"""HTTP backends that record the requests of the Collector's exporters."""

from typing import NamedTuple

from servers import Handler, Server


class BackendRequest(NamedTuple):
    """A request to a backend."""

    path: str
    authorization: str


class Sink:
    """Accepts all requests during a `with` block."""

    def __enter__(self):
        self.received = []
        self.server = Server(RecordingHandler, self)
        return self

    def __exit__(self, *_):
        self.server.close()

    def url(self, path=""):
        return f"http://{self.server.address}{path}"


class RecordingHandler(Handler):
    """Records a request, and accepts it with an empty response."""

    def do_POST(self):
        self.body()
        self.server.owner.received.append(BackendRequest(self.path, self.headers.get("Authorization", "")))
        self.respond(200, headers={"Content-Type": "application/x-protobuf"})
