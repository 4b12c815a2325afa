"""The figures of the table: the measurement and the limit of each."""

import os

import outages
from measure import median, one_processor
from rows import PEERS, Row, absolute, difference, percent, ratio

# Milliseconds to a distant collector in the same region.
FAR_COLLECTOR = "20"
MEGABYTE = 1_000_000


def times(value):
    return f"{value:.2f} ×"


def measured_peers(bench):
    return [peer for peer in PEERS if peer in bench.binaries]


def plain_variants(bench):
    return {peer: (peer, []) for peer in measured_peers(bench)}


# ---- the figures ----------------------------------------------------------------------------------------------------------


# Records in an invocation, and the numbers of invocations in the two runs whose difference is
# counted. Few are enough, because all invocations execute the same instructions.
COUNTED = [(1, 50, 250), (10, 30, 130), (100, 10, 40)]
# Exported signals, the function of Baton, its variables, and the limits and aims by batch size.
# `direct` exports the first.
EXPORTED = [
    ("traces", "noop", ["OTEL_METRICS_EXPORTER=none"], {1: 1.25, 10: 1.12, 100: 1.12}, {1: 1.10, 10: 1.00, 100: 1.00}),
    ("traces and metrics", "noop", [], {1: 1.9, 10: 1.25, 100: 1.15}, {}),
    ("the same, and a log line per record on stdout", "logging", [], {}, {}),
    ("the same, and the log lines over OTLP", "logging", ["OTEL_LOGS_EXPORTER=otlp"], {}, {}),
]


def instructions(bench, mode):
    """Counts instead of times, which are the same on a busy machine."""
    if not bench.valgrind:
        yield Row("instructions per invocation", {}, str, note="skipped: no valgrind")
        return
    for batch, fewer, more in COUNTED:
        without = {peer: bench.instructions(peer, batch, fewer, more) for peer in measured_peers(bench) if peer != "noop"}
        for what, function, variables, musts, aims in EXPORTED:
            variables = [option for variable in variables for option in ("--set", variable)]
            values = {**without, "noop": bench.instructions(function, batch, fewer, more, what, variables)}
            without.pop("direct", None)
            title = f"instructions per invocation, batch {batch}: {what}"
            yield Row(title, values, lambda count: f"{count / 1000:,.0f} k", ratio, times, musts.get(batch), aims.get(batch))


def processor_time(bench, mode):
    rounds, invocations = (3, "20") if mode == "quick" else (9, "40")
    lines = bench.run_alternately("batch 1000", rounds, plain_variants(bench), ["--batch", "1000", "--warm", "5", "--invocations", invocations])
    values = {peer: median(lines[peer], "cpu_us") / 1000 for peer in lines}
    yield Row("CPU per invocation, batch 1000", values, lambda ms: f"{ms:.2f} ms", ratio, times, 1.40, 1.20)


def init(bench, mode):
    rounds = 7 if mode == "quick" else 31
    lines = bench.run_alternately("init", rounds, plain_variants(bench), ["--invocations", "0"])
    values = {peer: median(lines[peer], "init_cpu_us") / 1000 for peer in lines}
    yield Row("init CPU", values, lambda ms: f"{ms:.2f} ms", difference, lambda ms: f"{ms:+.2f} ms", 0.35, 0.20)


def threads(bench, mode):
    lines = bench.run_alternately("threads", 1, plain_variants(bench), ["--invocations", "20"])
    values = {peer: lines[peer][0]["threads"] for peer in lines}
    yield Row("threads", values, str, absolute, None, 1)


def responses(bench, mode):
    """The time to the response, with the flush before it and after it."""
    rounds, invocations = (3, "500") if mode == "quick" else (9, "1000")
    variants = plain_variants(bench)
    variants["traces"] = ("noop", ["--set", "OTEL_METRICS_EXPORTER=none"])
    variants["after"] = ("noop", ["--set", "BATON_FLUSH_POINT=after-response"])
    with one_processor():
        lines = bench.run_alternately("batch 10", rounds, variants, ["--batch", "10", "--warm", "200", "--invocations", invocations])
    microseconds = [lambda us: f"{us:.0f} µs", difference, lambda us: f"{us:+.0f} µs"]
    values = {peer: median(lines[peer], "response_us") for peer in plain_variants(bench)}
    traces = {**values, "noop": median(lines["traces"], "response_us")}
    yield Row("response p50, batch 10, flush before it: traces", traces, *microseconds, 60)
    # Two concurrent requests instead of one. The limit for one is the aim for two.
    yield Row("… traces and metrics", {**values, "direct": None}, *microseconds, None, 60)
    values = {"bare": values["bare"], "noop": median(lines["after"], "response_us")}
    note = None
    if any(line["before_response"] > 0 for line in lines["after"]):
        note = "invalid: spans arrived before the response"
    elif any(line["late"] + line["lost"] > 0 for line in lines["after"]):
        note = "invalid: spans arrived late or never"
    yield Row("response p50, batch 10, flush after it: traces and metrics", values, *microseconds, 25, note=note)


def large_batch(bench, mode):
    """Lost and late spans of ten thousand records, and the memory that they take."""
    options = ["--batch", "10000", "--invocations", "3", "--collector-delay", FAR_COLLECTOR]
    lines = {peer: lines[0] for peer, lines in bench.run_alternately("batch 10000", 1, plain_variants(bench), options).items()}
    for key, when in (("lost", "lost"), ("late", "late")):
        values = {peer: line[key] / line["records"] for peer, line in lines.items() if peer != "bare"}
        yield Row(f"spans {when}, batch 10,000, collector {FAR_COLLECTOR} ms away", {"bare": None, **values}, percent, absolute, None, 0)
    unlinked = {peer: 1 - line["linked"] / line["records"] for peer, line in lines.items() if peer != "bare"}
    yield Row("links lost, the same", {"bare": None, **unlinked}, percent, absolute, None, 0)
    memory = {peer: line["peak_memory_kb"] * 1024 / MEGABYTE for peer, line in lines.items()}
    yield Row("peak memory, batch 10,000", memory, lambda mb: f"{mb:.1f} MB", difference, lambda mb: f"{mb:+.1f} MB", 12)


# Invocations of the soak run, as many as in hours of load.
SOAK = 200_000
# Memory growth after the first tenth of the soak run that allocator noise may cause.
GROWTH_LIMIT_MEGABYTES = 1


def memory_growth(bench, mode):
    """`lambda_runtime` alone grows, because it sets an environment variable to a new value in each invocation. Once `bare` no longer
    grows, `lambda/src/event_loop.rs` can be removed."""
    count = SOAK // 10 if mode == "quick" else SOAK
    peers = ["noop"] if mode == "check" else ["bare", "noop"]
    grown = {}
    for peer in peers:
        line = bench.run(peer, f"memory, {count} invocations", ["--batch", "1", "--soak", str(count)])
        grown[peer] = (line["resident_kb"] - line["settled_kb"]) * 1024 / MEGABYTE
    show = lambda megabytes: f"{megabytes:+.2f} MB"
    yield Row(f"memory growth, {count:,} invocations", grown, show, absolute, None, GROWTH_LIMIT_MEGABYTES)


def sizes(bench, mode):
    values = {name: os.path.getsize(path) / MEGABYTE for name, path in bench.binaries.items()}
    # Baton has TLS by default. Without `direct-tls` the table says that only Baton has it.
    if "direct-tls" in values:
        values["direct"] = values["direct-tls"]
    title = "binary with TLS (bare: without), stripped" if "direct-tls" in values else "binary, stripped (TLS only in Baton)"
    # The limit was 3.3 with traces alone. Metrics, log records, the spill, gzip and client
    # certificates add 0.25, and classes of errors, layers and log fields of messages 0.02.
    yield Row(title, values, lambda mb: f"{mb:.2f} MB", absolute, None, 3.58, 2.5)


ALL = [
    instructions,
    processor_time,
    init,
    threads,
    responses,
    large_batch,
    memory_growth,
    outages.failing,
    outages.hanging,
    outages.flaky,
    outages.replay,
    sizes,
]
# The figures that do not depend on the load of the machine.
CHECKED = [instructions, threads, large_batch, memory_growth, outages.hanging, outages.flaky, outages.replay, sizes]
