"""Runs the checks and prints a summary. Started by `run.sh`."""

import pathlib
import sys
import tempfile
import time

import transport_checks  # noqa: F401, I001: in the order of the checks
import outage_checks  # noqa: F401
from bench import CHECKS, Programs


class Bench:
    """The argument of each check."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.parent = folder

    def folder(self):
        """Creates a folder for a Collector and the services that send to it."""
        return pathlib.Path(tempfile.mkdtemp(dir=self.parent))


def outcome(check, bench):
    """Runs a check, and prints and returns its outcome."""
    title = (check.__doc__ or check.__name__).splitlines()[0]
    began = time.monotonic()
    try:
        check(bench)
    except Exception as error:  # Any exception fails the check; the other checks still run.
        print(f"FAILED {title}: {type(error).__name__}: {str(error)[:2000]}", flush=True)
        return False
    print(f"ok     {title} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def main():
    if len(sys.argv) != 1 + len(Programs._fields):
        print(f"usage: check.py {' '.join(name.upper() for name in Programs._fields)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Programs(*map(pathlib.Path, sys.argv[1:])), pathlib.Path(directory))
        outcomes = [outcome(check, bench) for check in CHECKS]
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
