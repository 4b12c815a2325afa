"""An HTTP server in a thread, on a free loopback port."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Keeps connections open, as the real servers do, and logs nothing."""

    protocol_version = "HTTP/1.1"
    # Head and body are two packets. Otherwise the second waits for the client's delayed
    # acknowledgement, up to 40 ms.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Logs nothing: the checks report failures."""

    def body(self):
        """Returns the request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def respond(self, status, body=b"", headers=None):
        """Sends a complete response."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves requests until it is closed. The handlers use `owner`."""

    daemon_threads = True

    def __init__(self, handler, owner):
        super().__init__(("127.0.0.1", 0), handler)
        self.owner = owner
        self.address = f"127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Ignores closed connections, which several checks cause."""

    def close(self):
        """Stops listening. Open connections are closed at the end of the process."""
        self.shutdown()
        self.server_close()
