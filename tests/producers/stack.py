"""`baton up`, with its received spans and its log."""

import json
import queue
import subprocess
import threading
import time
import urllib.request

# Time limit in seconds for the start, the arrival of spans and the end. Each takes milliseconds on
# an idle machine.
TIMEOUT_SECONDS = 60
# Seconds between two polls of the received spans.
POLL_SECONDS = 0.1


class Stack:
    """A stack whose function has the given variables."""

    def __init__(self, binaries, variables):
        # A single environment, so that a line logged once per process appears once.
        command = [binaries / "baton", "up", "--json", "--logs", "--concurrency", "1", "--idle-after", "60m"]
        command += ["--function", binaries / "onboarding-lambda", "--producer", binaries / "onboarding-api"]
        for name, value in variables.items():
            command += ["--env", f"{name}={value}"]
        self.log = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        try:
            announced = json.loads(self._first_line())
        except BaseException:
            self.stop()
            raise
        self.queue_url = announced["queue_url"]
        self.variables = announced["variables"]
        self._spans_url = announced["otlp_http"] + "/api/spans"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read_log(self):
        for line in self._process.stderr:
            self.log.append(line)

    def _first_line(self):
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self._process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=TIMEOUT_SECONDS)
        except queue.Empty:
            raise TimeoutError(f"baton up was not ready after {TIMEOUT_SECONDS} s") from None
        if not line:
            raise RuntimeError("baton up exited before it was ready:\n" + "".join(self.log))
        return line

    def process_spans(self, ids):
        """Returns the function's span of each message with one of these ids, if it arrives in time."""
        wanted, found = set(ids), {}
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while wanted - found.keys() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            with urllib.request.urlopen(self._spans_url, timeout=TIMEOUT_SECONDS) as response:
                spans = json.load(response)["spans"]
            for span in spans:
                id = span["attributes"].get("messaging.message.id")
                if span["name"] == "process onboarding" and id in wanted:
                    found[id] = span
        return found

    def stop(self):
        """Stops the stack, so that the log is complete."""
        self._process.terminate()
        try:
            self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(TIMEOUT_SECONDS)
