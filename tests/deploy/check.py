"""Runs the checks and prints a summary. Started by `run.sh`."""

import pathlib
import sys
import tempfile
import time

import stack_checks  # noqa: F401, I001: in the order of the checks
import task_checks  # noqa: F401
import script_checks  # noqa: F401
import operate_checks  # noqa: F401
import page_checks  # noqa: F401
import cargo_lambda_checks  # noqa: F401
from bench import CHECKS
from checks import outcome
from setup import Bench, Programs


def programs(arguments):
    """Returns the programs that the command line names."""
    return Programs(*(text if name == "tools" else pathlib.Path(text) for name, text in zip(Programs._fields, arguments, strict=True)))


def main():
    if len(sys.argv) != 1 + len(Programs._fields):
        print(f"usage: check.py {' '.join(name.upper() for name in Programs._fields)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        with Bench(programs(sys.argv[1:]), pathlib.Path(directory)) as bench:
            print(f"deployed the stack in {time.monotonic() - began:.1f} s", flush=True)
            outcomes = [outcome(check, bench) for check in CHECKS]
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
