"""Checks an SQS endpoint with boto3: every action, the limits, the error codes, the MD5s, long polls and redrive.

Usage: probe.py ENDPOINT_URL. Prints a line per check, then `N passed, N failed`; the exit code is 0 only if no
check failed. The expected responses are those of AWS.
"""

import sys

# Each module registers its checks when it is imported; they run in this order.
import queue_checks  # noqa: F401
import send_checks  # noqa: F401
import receive_checks  # noqa: F401
import settle_checks  # noqa: F401
from bench import CHECKS, Bench


def main():
    if len(sys.argv) != 2:
        print("usage: probe.py ENDPOINT_URL", file=sys.stderr)
        return 2
    bench = Bench(sys.argv[1].rstrip("/"))
    passed = failures = 0
    for function in CHECKS:
        try:
            function(bench)
        except Exception as error:  # Any exception fails the check; the other checks still run.
            failures += 1
            print(f"FAIL  {function.__doc__}: {type(error).__name__}: {str(error)[:500]}", flush=True)
        else:
            passed += 1
            print(f"ok    {function.__doc__}", flush=True)
    bench.clean_up()
    print(f"{passed} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
