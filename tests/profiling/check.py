"""Checks CPU profiles of the onboarding API under load.

    check.py BINARIES WORK_FOLDER PAGE
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import flame_graph
import pprof
from checks import Checks
from pages import check_complete, sections
from stack import PROFILE, START_SECONDS, producer_with_stack

SECONDS = 4
FREQUENCY = 100
# Functions that handle each request, or parts of their names. If a release of a dependency renames its own, change them here.
EXPECTED = ("onboarding_api::routes", "onboarding_api::queue", "tokio::runtime", "hyper::proto::h1")
# Fewer samples than this cannot show the functions. A busy machine delays many of the timer's signals, so that the samples contain
# only a part of the CPU time.
MIN_SAMPLES = 50
# Commands of docs/profiling.md.
PAGE_SECTION, PAGE_ADDRESS, PAGE_SECONDS = "Taking a profile", "127.0.0.1:6060", 30
# Sections of the page whose commands are not run here, and the reasons.
NOT_RUN = {
    "Turning it on": "run.sh builds the service in the profile `dev`, and an image needs a container engine",
    "On ECS": "the commands need an AWS account",
    "On Kubernetes": "the commands need a cluster",
    "The function": "perf needs rights that a container does not have",
}


def go_report(work, profile, *options):
    """Returns the output of `go tool pprof` for a profile."""
    file = work / "profile.pb.gz"
    file.write_bytes(profile)
    # Without a local file of the program, and without access to the network.
    environment = os.environ | {"GOTOOLCHAIN": "local", "PPROF_TMPDIR": str(work)}
    command = ["go", "tool", "pprof", *options, file]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=START_SECONDS).stdout


def check_profile(checks, producer, work):
    used = producer.cpu_seconds()
    body, report = producer.profile_under_load(SECONDS, FREQUENCY)
    used = producer.cpu_seconds() - used
    checks.check("every request was accepted meanwhile", report["passed"], report)
    profile = pprof.read(body)
    profiled = profile.samples * profile.seconds_per_sample
    checks.check(f"the profile lasted {SECONDS} s", SECONDS <= profile.seconds < SECONDS + 1, profile.seconds)
    # The load lasts longer than the profile, and names are looked up after it.
    title = f"it has {profile.samples} samples, which stand for {profiled:.1f} s of the {used:.1f} s of CPU time"
    checks.check(title, profile.samples >= MIN_SAMPLES and profiled < 1.1 * used)
    cumulative = profile.cumulative()
    for part in EXPECTED:
        samples = max((count for name, count in cumulative.items() if part in name), default=0)
        checks.check(f"{part} is in {samples} of {profile.samples} samples", samples > 0.02 * profile.samples, sorted(cumulative)[:50])
    report = go_report(work, body, "-top", "-cum", "-nodecount=400")
    checks.check("go tool pprof shows the CPU time", "Type: cpu" in report and "onboarding_api::" in report, report)
    samples = go_report(work, body, "-top", "-sample_index=samples")
    checks.check("go tool pprof shows the number of samples", f"of {profile.samples} total" in samples, samples[:300])
    svg = flame_graph.draw(profile, "test")
    names = [title.text for title in xml.etree.ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    checks.check("the flame graph is an SVG with the functions", any("onboarding_api::" in name for name in names), names[:20])


def check_page(checks, producer, work, page):
    """Runs the commands of the page, except the one that opens a browser, with a shorter profile on the port of the producer."""
    commands = sections(page.read_text())
    check_complete(commands, {PAGE_SECTION}, NOT_RUN)
    lines = [line for line in commands[PAGE_SECTION].splitlines() if "-http=" not in line]
    text = "\n".join(lines)
    checks.check("the page has a curl and a pprof command", [line.split()[0] for line in lines] == ["curl", "go"], text)
    url, short = f"http://{PAGE_ADDRESS}{PROFILE}?seconds={PAGE_SECONDS}", f"{producer.profiles}{PROFILE}?seconds=1"
    checks.check("the curl command requests a profile", url in text, text)
    folder = work / "page"
    folder.mkdir(exist_ok=True)
    (folder / "profile.pb.gz").unlink(missing_ok=True)
    environment = os.environ | {"GOTOOLCHAIN": "local", "PPROF_TMPDIR": str(work)}
    command = ["bash", "-euo", "pipefail", "-c", text.replace(url, short)]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    shown = "Type: cpu" in result.stdout and "Showing nodes" in result.stdout
    checks.check("the commands of the page show a profile", result.returncode == 0 and shown, result.stdout[:500] + result.stderr[-500:])


def main(binaries, work, page):
    checks = Checks()
    # A process that took a profile leaves a file behind.
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        programs = (binaries / "baton", binaries / "onboarding-lambda", work / "onboarding-api")
        with producer_with_stack(*programs, work, temporary) as producer:
            check_profile(checks, producer, work)
            check_page(checks, producer, work, page)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(*map(pathlib.Path, sys.argv[1:4])))
