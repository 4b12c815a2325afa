"""A program of the stack: starting it, and noticing that it has exited."""

import contextlib
import os
import pathlib
import signal
import subprocess
from typing import NamedTuple

from bench import log_tail, responds, until, wait_for_exit

STOP_SECONDS = 10
# Lines of a log that are shown if a program exits.
SHOWN_LINES = 15


class Running(NamedTuple):
    """A process that must run until it is stopped."""

    name: str
    process: subprocess.Popen
    log: pathlib.Path

    def exited(self):
        """Returns a description of the exit, which is empty while the process runs."""
        code = self.process.poll()
        if code is None:
            return ""
        lines = log_tail(self.log).splitlines()[-SHOWN_LINES:]
        return "\n".join([f"{self.name} has exited with code {code}; its last lines:", *lines])


class Program:
    """A program that runs during a `with` block."""

    def __init__(self, name, command, folder, ready, variables=None):
        self.name = name
        self.command = command
        self.ready = ready
        self.log = folder / f"{name}.log"
        self.environment = {"PATH": os.environ["PATH"], **(variables or {})}
        self.running = []

    def __enter__(self):
        with self.log.open("wb") as log:
            process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.running = [Running(self.name, process, self.log)]
        try:
            until(self.is_ready, lambda: f"{self.name} is not ready: {log_tail(self.log)}")
        except BaseException:
            process.kill()
            process.wait()
            raise
        return self

    def is_ready(self):
        [running] = self.running
        assert not running.exited(), running.exited()
        return responds(self.ready)

    def __exit__(self, *_):
        while self.running:
            process = self.running.pop().process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                # Killed if it has not stopped in time, as Docker does. No check needs a clean shutdown.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    wait_for_exit(process, STOP_SECONDS)
