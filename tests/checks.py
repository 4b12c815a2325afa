"""Running checks and counting their outcomes, for the suites in this folder."""

import time

# Characters of an error that are shown.
SHOWN = 3000


def outcome(check, *arguments):
    """Runs a check, prints a line with its title, the first of its documentation, and returns true if it passed."""
    title = (check.__doc__ or check.__name__).splitlines()[0]
    began = time.monotonic()
    try:
        check(*arguments)
    except Exception as error:  # Any exception fails the check; the other checks still run.
        print(f"FAILED {title}: {type(error).__name__}: {str(error)[:SHOWN]}", flush=True)
        return False
    print(f"ok     {title} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


class Checks:
    """Counts passed and failed checks."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, title, holds, found=""):
        """Prints a check and, if it failed, what was found. Returns `holds`."""
        print(f"ok     {title}" if holds else f"FAILED {title}: {found}", flush=True)
        self.passed += bool(holds)
        self.failed += not holds
        return holds
