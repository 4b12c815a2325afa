"""Runs functions under the harness, in turns."""

import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess

# For one run of the harness. The longest, under valgrind on a busy machine, takes a tenth of it.
RUN_LIMIT_SECONDS = 600


class Failed(Exception):
    """A run that says nothing, for people to read."""


class Bench:
    """The harness, the functions, and a file to which every run is written."""

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
        """One run: its line of JSON, to which `after` may add."""
        label = ["--label", f"{name} {what}"]
        command = [self.harness, *label, *options, "--", *before, self.binaries[name]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{name}, {what}: not done after {RUN_LIMIT_SECONDS} s") from None
        if done.returncode != 0:
            raise Failed(f"{name}, {what}: {done.stderr.strip()}")
        line = json.loads(done.stdout)
        if after:
            line.update(after(line))
        self.write(line)
        return line

    def in_turns(self, what, rounds, variants, options):
        """Runs of all variants, round after round and every other round backwards, so that what the machine does meanwhile meets all of
        them. `variants`: from a name to a function's name and options of its own. Returns the lines of each."""
        lines = {variant: [] for variant in variants}
        for round_number in range(rounds):
            order = list(variants.items())
            for variant, (name, own) in order if round_number % 2 == 0 else reversed(order):
                lines[variant].append(self.run(name, f"{what}, {variant}", [*options, *own]))
        return lines

    def instructions(self, name, batch, fewer, more, what="alone", own=()):
        """Instructions of one invocation: the difference of two runs, which have the same start and the same end."""
        counts = []
        for invocations in (fewer, more):
            counts.append(self._count(name, batch, invocations, what, own)["instructions"])
        return (counts[1] - counts[0]) / (more - fewer)

    def _count(self, name, batch, invocations, what, own):
        out = self.folder / "callgrind.out"
        out.unlink(missing_ok=True)
        valgrind = [self.valgrind, "--tool=callgrind", f"--callgrind-out-file={out}"]

        def count(line):
            if line["killed"] or not out.exists():
                raise Failed(f"{name}: valgrind did not end in time, or wrote nothing")
            totals = [text for text in out.read_text().splitlines() if text.startswith("totals:")]
            return {"instructions": int(totals[-1].split()[1])}

        options = ["--batch", str(batch), "--invocations", str(invocations), *own]
        return self.run(name, f"instructions, {what}", options, before=valgrind, after=count)


@contextlib.contextmanager
def one_processor():
    """Has what is started meanwhile share one processor, as in most functions: messages between two processors of a virtual machine take
    longer than a flush, and how long is the host's affair."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def median(lines, field):
    return statistics.median(line[field] for line in lines)
