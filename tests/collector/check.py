"""Runs the checks and prints a summary. Started by `run.sh`."""

import pathlib
import sys
import tempfile

import transport_checks  # noqa: F401, I001: in the order of the checks
import outage_checks  # noqa: F401
import configuration_checks  # noqa: F401
from bench import CHECKS, Programs
from checks import outcome


class Bench:
    """The argument of each check."""

    def __init__(self, programs, folder):
        self.programs = programs
        self.parent = folder

    def folder(self):
        """Creates a folder for a Collector and the services that send to it."""
        return pathlib.Path(tempfile.mkdtemp(dir=self.parent))


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
