#!/usr/bin/env python3
"""Builds the README's function with cargo-lambda and makes it panic. Started by run.sh.

check.py ROOT BATON WORK
"""

import pathlib
import sys

from checks import Checks
from function import Package
from stack import Stack

ORDERS = ["1", "2", "panic", "4", "5"]


def run(binary, baton, root):
    """Sends the orders, and returns the ids of the dead-lettered orders and the outcomes of the record spans."""
    with Stack(baton, binary, root) as stack:
        stack.send(ORDERS)
        return stack.settled(), stack.outcomes()


def unwinding(checks, package, baton, root):
    """A panic fails one message only."""
    code, output, binary = package.build(with_profile=True)
    checks.check("the README's function builds with its profile", code == 0, output)
    if code != 0:
        return
    dead, outcomes = run(binary, baton, root)
    checks.check("only the order that panics is dead-lettered", dead == ["panic"], dead)
    checks.check("the others are handled once", outcomes.count(None) == len(ORDERS) - 1, outcomes)
    checks.check("each panic is a failed span", outcomes.count("panic") == 2, outcomes)


def refused(checks, package):
    """Without a profile, cargo-lambda sets `panic = "abort"`."""
    code, output, _ = package.build(with_profile=False)
    checks.check("the function does not build without a profile", code != 0, output)
    for part in ['panic = "abort"', "[profile.release]", 'panic = "unwind"', "CARGO_PROFILE_RELEASE_PANIC", "panic-abort"]:
        checks.check(f"the error says {part}", part in output, output)


def aborting(checks, package, baton, root):
    """Messages completed before the process aborts are not redelivered."""
    code, output, binary = package.build(with_profile=False, features=["panic-abort"])
    checks.check("the function builds with the feature panic-abort", code == 0, output)
    if code != 0:
        return
    dead, outcomes = run(binary, baton, root)
    checks.check("only the order that panics is dead-lettered", dead == ["panic"], dead)
    checks.check("no order is handled twice", outcomes.count(None) == len(ORDERS) - 1, outcomes)


def main(root, baton, work):
    root, work = pathlib.Path(root), pathlib.Path(work)
    checks, package = Checks(), Package(root, work)
    unwinding(checks, package, baton, root)
    refused(checks, package)
    aborting(checks, package, baton, root)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
