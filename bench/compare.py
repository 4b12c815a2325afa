#!/usr/bin/env python3
"""Measures functions and prints their costs as a Markdown table. Called by run.sh.

compare.py full|quick|check HARNESS FOLDER NAME=BINARY...
"""

import datetime
import platform
import subprocess
import sys

import figures
from measure import Bench, RunFailed


def main(mode, harness, folder, *binaries):
    bench = Bench(harness, folder, dict(binary.split("=", 1) for binary in binaries))
    machine = describe_machine()
    bench.write(machine)
    rows = []
    for figure in figures.CHECKED if mode == "check" else figures.ALL:
        rows.extend(figure(bench, mode))
        print(f"measured: {rows[-1].title}", file=sys.stderr)
    print_table(rows, machine, "bench/run.sh" if mode == "full" else f"bench/run.sh --{mode}")
    if mode != "check":
        return 0
    exceeded = [row for row in rows if row.is_exceeded()]
    print(f"\n{len(rows) - len(exceeded)} figures within their limits, {len(exceeded)} above")
    return 1 if exceeded else 0


def describe_machine():
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "rustc": rustc.stdout.split()[1],
    }


def cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as cpuinfo:
        for line in cpuinfo:
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"


def print_table(rows, machine, command):
    print(f"Measured on {machine['date']} with `{command}` on {machine['cpu']} ({machine['architecture']}), rustc {machine['rustc']}.\n")
    print("| figure | bare | Baton | direct | Baton against bare | limit | aim |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row.title, *row.shown(), row.result() + (" **limit exceeded**" if row.is_exceeded() else ""), row.limit, row.aim]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except RunFailed as failed:
        sys.exit(f"compare.py: {failed}")
