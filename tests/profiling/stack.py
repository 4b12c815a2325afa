"""A local stack, a producer that serves CPU profiles, and load on it. All on loopback."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import subprocess
import threading
import urllib.error
import urllib.request

# Time limit in seconds for the start of a process, which takes milliseconds on an idle machine.
START_SECONDS = 60
# Time limit in seconds for a process to exit after SIGTERM.
STOP_SECONDS = 30
# Connections of the load. With these, the producer uses as much of the CPU as the load leaves to it.
CONNECTIONS = 16
PROFILE = "/debug/pprof/profile"


class Process:
    """A process that writes lines of JSON, and is stopped at the end."""

    def __init__(self, command, variables, log):
        self._path = log
        self._log = log.open("w")
        self.process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=self._log, text=True)
        self._lines = queue.Queue()
        self._is_read = True
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(STOP_SECONDS)
        self._log.close()

    def _read(self):
        for line in self.process.stdout:
            if self._is_read:
                self._lines.put(json.loads(line))
        self._lines.put(None)

    def discard_output(self):
        """Discards further lines, of which a producer under load writes thousands a second."""
        self._is_read = False

    def find(self, is_wanted):
        """Returns the first line that matches."""
        program = self.process.args[0]
        try:
            while (line := self._lines.get(timeout=START_SECONDS)) is not None:
                if is_wanted(line):
                    return line
        except queue.Empty:
            raise TimeoutError(f"{program} was not ready within {START_SECONDS} s; its standard error is in {self._path}") from None
        raise RuntimeError(f"{program} exited before it was ready; its standard error is in {self._path}")


class Producer:
    """A producer with the feature `profiling`."""

    def __init__(self, process, baton, work):
        self._process = process.process
        self._baton = baton
        self._report = work / "load.json"
        self.profiles = "http://" + process.find(lambda line: line["message"] == "serving CPU profiles")["address"]
        self.api = "http://" + process.find(lambda line: line["message"] == "listening")["address"]
        process.discard_output()

    def load(self, seconds, *options):
        """Sends requests, and returns the report of `baton load`. Every request must be accepted."""
        command = [self._baton, "load", "--url", f"{self.api}/onboarding", "--duration", f"{seconds}s", "--json", self._report, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=seconds + START_SECONDS)
        return json.loads(self._report.read_text())

    def profile(self, seconds, frequency=100):
        """Returns the body of a profile's response."""
        url = f"{self.profiles}{PROFILE}?seconds={seconds}&frequency={frequency}"
        try:
            with urllib.request.urlopen(url, timeout=seconds + START_SECONDS) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{url}: status {error.code}: {error.read().decode()}") from error

    def profile_under_load(self, seconds, frequency=100):
        """Returns a profile that is taken while requests are sent, and the report of the load."""
        with concurrent.futures.ThreadPoolExecutor() as executor:
            profile = executor.submit(self.profile, seconds, frequency)
            report = self.load(seconds + 1, "--concurrency", str(CONNECTIONS))
            # Raises the exception of the thread, if there is one.
            return profile.result(), report

    def cpu_seconds(self):
        """Returns the CPU time that the process has used."""
        user, system = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def producer_with_stack(baton, function, binary, work, temporary):
    """Starts the queue, the function and the OTLP receiver of `baton up`, and the producer with its folder of temporary files."""
    up = [baton, "up", "--function", function, "--no-producer", "--json"]
    with Process(up, dict(os.environ), work / "baton.log") as stack:
        variables = stack.find(lambda line: "sqs" in line)["variables"]
        variables |= {"LISTEN_ADDR": "127.0.0.1:0", "PROFILING_ADDR": "0", "TMPDIR": temporary, "SHUTDOWN_GRACE_PERIOD": "0"}
        with Process([binary], dict(os.environ) | variables, work / "producer.log") as process:
            yield Producer(process, baton, work)
