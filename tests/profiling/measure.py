"""Measures the onboarding API with and without a CPU profile, and draws its flame graph.

    measure.py BINARIES PRODUCER WORK_FOLDER SVG SECONDS
"""

import pathlib
import statistics
import sys
import tempfile
import threading

import flame_graph
import pprof
from stack import producer_with_stack

# Requests per second, about half of what the producer accepts beside the load on two cores.
RATE = 1500
# Length of each run, and the frequency of its profile.
RUN_SECONDS = 8
FREQUENCY = 100
# Pairs of runs, alternating so that a change of the machine's speed affects both.
ROUNDS = 5
# Groups of the shares that are printed, by parts of the names of functions.
SHARES = {
    "reading and writing connections of the API": ("onboarding_api::serve::connection",),
    "handling requests": ("onboarding_api::routes", "onboarding_api::request_telemetry"),
    "calls to SQS": ("aws_smithy", "aws_sdk_sqs"),
    "telemetry": ("baton_telemetry",),
    "writing log lines": ("tracing_subscriber", "baton_telemetry::logs"),
}


def microseconds_per_request(producer):
    """Returns the CPU time of a request at a fixed rate."""
    before = producer.cpu_seconds()
    report = producer.load(RUN_SECONDS, "--rate", str(RATE))
    return 1e6 * (producer.cpu_seconds() - before) / report["requests"]["accepted"]


def measure_overhead(producer):
    """Prints the CPU time of requests without and with a profile."""
    without, profiled = [], []
    for _ in range(ROUNDS):
        without.append(microseconds_per_request(producer))
        # The profile lasts as long as the load. Its start and its end are part of the result.
        thread = threading.Thread(target=producer.profile, args=(RUN_SECONDS, FREQUENCY))
        thread.start()
        profiled.append(microseconds_per_request(producer))
        thread.join()
    a, b = statistics.median(without), statistics.median(profiled)
    print(f"{FREQUENCY} Hz, {RATE} requests/s: {a:.0f} us of CPU time per request without a profile, {b:.0f} us with it: {b / a:.3f} x")


def main(binaries, binary, work, svg, seconds):
    # A process that took a profile leaves a file behind.
    with (
        tempfile.TemporaryDirectory(dir=work) as temporary,
        producer_with_stack(binaries / "baton", binaries / "onboarding-lambda", binary, work, temporary) as producer,
    ):
        # The first profile reads the tables of the program.
        producer.profile(1)
        used = producer.cpu_seconds()
        body, report = producer.profile_under_load(seconds, FREQUENCY)
        used = producer.cpu_seconds() - used
        profile = pprof.read(body)
        (work / "profile.pb.gz").write_bytes(body)
        accepted = report["requests"]["accepted"]
        print(f"{profile.samples} samples in {profile.seconds:.1f} s, {accepted} requests accepted in {seconds + 1} s")
        # The load lasts a second longer than the profile.
        profiled, used = profile.samples * profile.seconds_per_sample, used * seconds / (seconds + 1)
        print(f"the samples stand for {profiled:.1f} s of about {used:.1f} s of CPU time: {profiled / used:.2f}")
        for title, parts in SHARES.items():
            inside = sum(count for stack, count in profile.stacks.items() if any(part in name for name in stack for part in parts))
            print(f"{100 * inside / profile.samples:5.1f} %  {title}")
        title = f"CPU time of onboarding-api: {profile.samples} samples in {profile.seconds:.0f} s under load"
        svg.write_text(flame_graph.draw(profile, title))
        print(f"{svg}: {svg.stat().st_size / 1000:.0f} kB")
        before = producer.cpu_seconds()
        for _ in range(ROUNDS):
            producer.profile(1)
        fixed = (producer.cpu_seconds() - before) / ROUNDS
        print(f"{1000 * fixed:.0f} ms of CPU time for a profile of the idle service: start, end and names")
        measure_overhead(producer)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(pathlib.Path, sys.argv[1:5]), int(sys.argv[5])))
