"""The time from the start of the process to its first request for an event."""

import os
import queue
import subprocess
import time

from servers import Handler, Server

# Time limit of a start in seconds, with room for a loaded machine.
WAIT_SECONDS = 30.0
STARTS = 5


class RuntimeApi(Handler):
    """Records when the function asks for an event, and never sends one."""

    def do_GET(self):
        self.server.owner.put((self.path, time.monotonic()))
        self.close_connection = True


def seconds(function, variables):
    """Starts the function, and returns the seconds until its first request and the path of that request."""
    requests = queue.Queue()
    server = Server(RuntimeApi, requests)
    environment = {"PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": server.address, **variables}
    began = time.monotonic()
    process = subprocess.Popen([function], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        path, asked = requests.get(timeout=WAIT_SECONDS)
    finally:
        process.kill()
        process.wait()
        server.close()
    return asked - began, path
