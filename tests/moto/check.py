"""Checks the onboarding function with a DynamoDB table: stored items, reported failures, and spans.

Usage: check.py FUNCTION. Prints a line per check, then `N passed, N failed`; the exit code is 0 only if no check failed.
"""

import pathlib
import sys
import tempfile

# Each module registers its checks when it is imported; they run in this order.
import storing_checks  # noqa: F401
import outage_checks  # noqa: F401
import start_checks  # noqa: F401
import privacy_checks  # noqa: F401
from bench import CHECKS, Bench
from checks import outcome


def main():
    if len(sys.argv) != 2:
        print("usage: check.py FUNCTION", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(sys.argv[1], pathlib.Path(directory, "log"))
        try:
            outcomes = [outcome(check, bench) for check in CHECKS]
        finally:
            bench.stop()
        if not all(outcomes):
            lines = [*bench.logged('"level":"WARN"'), *bench.logged('"level":"ERROR"')]
            print("\n".join(sorted(lines))[-4000:], file=sys.stderr)
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
