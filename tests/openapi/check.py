"""Runs schemathesis against the onboarding API, and counts its test cases.

    check.py BINARIES WORK_FOLDER
"""

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

# Time limit in seconds for the start of a process, which takes milliseconds on an idle machine.
START_SECONDS = 60
# Time limit in seconds for the process to exit after SIGTERM.
STOP_SECONDS = 30
# Test cases for each route and phase. With more, a run takes longer than a minute.
EXAMPLES = 500
# Time limit in seconds for schemathesis. It is far longer than a run takes.
RUN_SECONDS = 300
# The same test cases in each run, so that a failure is caused by a change.
SEED = 1
# Routes that the description must contain, so that an empty one does not pass.
ROUTES = {"/onboarding", "/onboarding/batch", "/telemetry/smoke", "/openapi.json", "/healthz", "/readyz"}


class Process:
    """A process that writes lines of JSON, and is stopped at the end."""

    def __init__(self, command, variables, log):
        self._log = log.open("w")
        self._process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=self._log, text=True)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._log.close()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def find(self, is_wanted):
        """Returns the first line that matches."""
        while (line := self._lines.get(timeout=START_SECONDS)) is not None:
            if is_wanted(line):
                return line
        raise RuntimeError(f"{self._process.args[0]} exited before it was ready")


def create_queue(endpoint):
    """Creates a queue at the local endpoint, which does not check signatures. Returns its URL."""
    headers = {"X-Amz-Target": "AmazonSQS.CreateQueue", "Content-Type": "application/x-amz-json-1.0"}
    request = urllib.request.Request(endpoint, b'{"QueueName": "onboarding"}', headers)
    with urllib.request.urlopen(request, timeout=START_SECONDS) as response:
        return json.load(response)["QueueUrl"]


def routes(url):
    """Returns the routes of the description."""
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=START_SECONDS) as response:
        return set(json.load(response)["paths"])


def run_schemathesis(url, work):
    """Returns schemathesis's exit code and output."""
    schemathesis = Path(sys.executable).with_name("schemathesis")
    configuration = Path(__file__).with_name("schemathesis.toml")
    command = [schemathesis, "--config-file", configuration, "run", f"{url}/openapi.json", "--checks", "all", "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(EXAMPLES), "--seed", str(SEED), "--workers", "2", "--continue-on-failure"]
    command += ["--generation-database", "none", "--no-color"]
    done = subprocess.run(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=RUN_SECONDS)
    return done.returncode, done.stdout


def main(binaries, work):
    up = [binaries / "baton", "up", "--sqs-only", "--json"]
    with Process(up, dict(os.environ), work / "baton.log") as stack:
        ready = stack.find(lambda line: "sqs" in line)
        variables = ready["variables"] | {"QUEUE_URL": create_queue(ready["sqs"])}
        api = {"LISTEN_ADDR": "127.0.0.1:0", "SHUTDOWN_GRACE_PERIOD": "0", "OTEL_TRACES_EXPORTER": "none"}
        api |= {"OTEL_METRICS_EXPORTER": "none"}
        with Process([binaries / "onboarding-api"], dict(os.environ) | variables | api, work / "api.log") as service:
            url = "http://" + service.find(lambda line: line["message"] == "listening")["address"]
            results = {"the description contains every route": routes(url) == ROUTES}
            code, output = run_schemathesis(url, work)
            print(output)
            results["schemathesis finds no difference"] = code == 0
    for name, passed in results.items():
        print(f"{'ok  ' if passed else 'FAIL'}  {name}")
    failed = list(results.values()).count(False)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
