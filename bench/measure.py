"""Runs functions under the harness, alternately."""

import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess

# Time limit of one run of the harness. The longest run, under valgrind on a busy machine, takes a
# tenth of it.
RUN_LIMIT_SECONDS = 600


class RunFailed(Exception):
    """A run without a usable result. The message is for people."""


class Bench:
    """The harness, the functions, and the file with the results of all runs."""

    def __init__(self, harness, folder, binaries):
        self.harness = harness
        self.binaries = binaries
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lines = self.folder / "runs.jsonl"
        self.lines.write_text("")
        self.valgrind = shutil.which("valgrind")

    def write(self, line):
        with self.lines.open("a") as lines:
            lines.write(json.dumps(line) + "\n")

    def run(self, name, what, options, before=(), after=None):
        """Runs a function once. Returns the result of the harness, extended by the one of `after`."""
        label = ["--label", f"{name} {what}"]
        command = [self.harness, *label, *options, "--", *before, self.binaries[name]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"{name}, {what}: timed out after {RUN_LIMIT_SECONDS} s") from None
        if done.returncode != 0:
            raise RunFailed(f"{name}, {what}: {done.stderr.strip()}")
        line = json.loads(done.stdout)
        if after:
            line.update(after(line))
        self.write(line)
        return line

    def run_alternately(self, what, rounds, variants, options):
        """Runs all variants in each round, in reverse order in every other one, so that other load of the machine affects all of them.
        `variants` maps a name to the name of a function and its additional options. Returns the results of each variant."""
        lines = {variant: [] for variant in variants}
        for round_number in range(rounds):
            order = list(variants.items())
            for variant, (name, extra) in order if round_number % 2 == 0 else reversed(order):
                lines[variant].append(self.run(name, f"{what}, {variant}", [*options, *extra]))
        return lines

    def instructions(self, name, batch, fewer, more, what="alone", more_options=()):
        """Counts the instructions of one invocation: the difference of two runs, so that start and exit cancel out."""
        counts = []
        for invocations in (fewer, more):
            counts.append(self._count(name, batch, invocations, what, more_options)["instructions"])
        return (counts[1] - counts[0]) / (more - fewer)

    def _count(self, name, batch, invocations, what, more_options):
        out = self.folder / "callgrind.out"
        out.unlink(missing_ok=True)
        valgrind = [self.valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"]

        def count(line):
            if line["killed"] or not out.exists():
                raise RunFailed(f"{name}: valgrind did not exit in time, or wrote no counts")
            totals = [text for text in out.read_text().splitlines() if text.startswith("totals:")]
            return {"instructions": int(totals[-1].split()[1])}

        options = ["--batch", str(batch), "--invocations", str(invocations), *more_options]
        return self.run(name, f"instructions, {what}", options, before=valgrind, after=count)


@contextlib.contextmanager
def one_processor():
    """Runs all processes that start meanwhile on one processor, as most functions do. Messages between two processors of a virtual machine
    take longer than a flush, for a time that depends on the host."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def median(lines, field):
    return statistics.median(line[field] for line in lines)
