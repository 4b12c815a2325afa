"""Checks CPU profiles of the onboarding API under load.

    check.py BINARIES WORK_FOLDER
"""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import flame_graph
import pprof
from checks import Checks
from stack import START_SECONDS, producer_with_stack

SECONDS = 4
FREQUENCY = 100
# Functions that handle each request, or parts of their names. No release of a dependency changes all of them.
EXPECTED = ("onboarding_api::routes", "onboarding_api::queue", "tokio::runtime", "hyper::proto::h1")


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
    title = f"it contains the CPU time that the producer used: {profiled:.1f} s of {used:.1f} s"
    checks.check(title, 0.4 * used < profiled < 1.1 * used)
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


def main(binaries, work):
    checks = Checks()
    with producer_with_stack(binaries / "baton", binaries / "onboarding-lambda", work / "onboarding-api", work) as producer:
        check_profile(checks, producer, work)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
