"""Runs the checks and prints a summary. Started by run.sh.

check.py ROOT WORK COLLECTOR SERVICES LOKI TEMPO PICTURES
"""

import functools
import pathlib
import sys
import tempfile

import alert_checks
import file_checks
import link_checks
import page_checks
import panel_checks
import store_checks
from checks import outcome
from files import Files
from stack import Programs, Stack


def optional(path):
    """Returns a path, or nothing for an empty argument."""
    return pathlib.Path(path).resolve() if path else None


def check_stack(stack, pictures):
    """Starts the stack and runs its checks. Returns their outcomes and the number of skipped checks. Writes pictures of the
    dashboards into the folder `pictures`, if there is one."""

    def start(stack):
        """the stack starts, and the services accept requests"""
        stack.start()

    def drawn(stack):
        """the dashboards can be drawn"""
        # Needs a package that is installed only for pictures.
        from pictures import draw

        draw(stack, pictures)

    try:
        if not outcome(running(start), stack):
            return [False], 0
        outcomes, skipped = [True], 0
        for check in (*store_checks.CHECKS, *link_checks.CHECKS, *alert_checks.CHECKS, *page_checks.CHECKS, *panel_checks.CHECKS):
            missing = [name for name in check.needs if not getattr(stack.programs, name)]
            if missing:
                skipped += 1
                print(f"skipped {check.__doc__.splitlines()[0]}: there is no program for {' and '.join(missing)}", flush=True)
            else:
                outcomes.append(outcome(running(check), stack))
                if stack.exited():
                    print("The other checks are not run, because a program has exited.", flush=True)
                    return outcomes, skipped
        if pictures:
            outcomes.append(outcome(running(drawn), stack))
        return outcomes, skipped
    finally:
        stack.stop()


def running(check):
    """Returns a check that also fails if a program has exited, and then names it."""

    @functools.wraps(check)
    def checked(stack):
        try:
            check(stack)
        except Exception as error:
            assert not stack.exited(), f"{'; '.join(stack.exited())}; {error}"
            raise
        assert not stack.exited(), "; ".join(stack.exited())

    return checked


def main(root, work, collector, services, loki, tempo, pictures):
    root, work, services = pathlib.Path(root), pathlib.Path(work), pathlib.Path(services)
    programs = Programs(work / "prometheus", pathlib.Path(collector), services, services / "baton", optional(loki), optional(tempo))
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        files = Files(root, work, folder)
        outcomes = [outcome(check, files) for check in file_checks.CHECKS]
        stack_outcomes, skipped = check_stack(Stack(files, programs, folder), optional(pictures))
        outcomes += stack_outcomes
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
