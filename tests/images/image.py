"""An image that run.sh has built: its settings, its files, and processes started in it."""

import contextlib
import json
import pathlib
import signal
import subprocess
import time

ENTER = pathlib.Path(__file__).with_name("enter.sh")
START_SECONDS = 30
STOP_SECONDS = 30
POLL_SECONDS = 0.1


class Image:
    """The image of a Dockerfile in `infra/docker`."""

    def __init__(self, folder, name):
        self.name = name
        self.root = folder / name
        self.settings = json.loads((folder / f"{name}.json").read_text())["Docker"]["config"]

    def command(self, program):
        """Returns the command that starts a program of the image as the image's user."""
        return [str(ENTER), str(self.root), self.settings["User"], *program]

    def environment(self, **variables):
        """Returns the variables of the image together with these."""
        return {**dict(variable.split("=", 1) for variable in self.settings["Env"]), **variables}

    @contextlib.contextmanager
    def running(self, log, *arguments, **variables):
        """Runs the image's program during a `with` block, and stops it with SIGTERM.

        The arguments follow those of the image.
        """
        program = [*self.settings["Entrypoint"], *(self.settings["Cmd"] or []), *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(self.command(program), env=self.environment(**variables), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def health(self, **variables):
        """Runs the image's health check once, and returns its exit code and its output."""
        kind, *program = self.settings["Healthcheck"]["Test"]
        assert kind == "CMD", f"the health check needs a shell: {kind}"
        done = subprocess.run(self.command(program), env=self.environment(**variables), capture_output=True, text=True, timeout=START_SECONDS)
        return done.returncode, done.stdout + done.stderr

    def becomes_healthy(self, process, log, **variables):
        """Repeats the health check until it succeeds, as Docker does."""
        end = time.monotonic() + START_SECONDS
        while True:
            code, output = self.health(**variables)
            if code == 0:
                return
            assert process.poll() is None, f"exited with {process.returncode}: {log.read_text()[-2000:]}"
            assert time.monotonic() < end, f"not healthy: {output} {log.read_text()[-2000:]}"
            time.sleep(POLL_SECONDS)
