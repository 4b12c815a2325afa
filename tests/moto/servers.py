"""A server on a thread of its own, on a free port of loopback."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, as the real servers do, and is silent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """The checks say what went wrong."""

    def body(self):
        """The request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, body=b"", headers=None):
        """Sends a whole answer."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves with a class of handlers until it is closed. `owner` is what the handlers act on."""

    daemon_threads = True

    def __init__(self, handler, owner):
        super().__init__(("127.0.0.1", 0), handler)
        self.owner = owner
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A client that went away is what several checks are about."""

    def close(self):
        """Stops listening; open connections end with the process."""
        self.shutdown()
        self.server_close()
