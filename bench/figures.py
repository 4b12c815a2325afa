"""The figures of the table: how each is measured, and what it may be."""

import os

import outages
from measure import median, one_processor
from rows import PEERS, Row, itself, over, percent, ratio

# Milliseconds to a collector in the same region, at the far end.
FAR_COLLECTOR = "20"
MEGABYTE = 1_000_000


def times(value):
    return f"{value:.2f} ×"


def present(bench):
    return [peer for peer in PEERS if peer in bench.binaries]


def plain(bench):
    return {peer: (peer, []) for peer in present(bench)}


# ---- the figures ----------------------------------------------------------------------------------------------------------


# Records in an invocation, and the invocations of the two runs whose difference is counted: few, because each is like the other.
COUNTED = [(1, 50, 250), (10, 30, 130), (100, 10, 40)]
# What is exported: which function of Baton's, its variables, and by batch what it may cost and what it should. The first is what `direct`
# does as well.
EXPORTED = [
    ("traces", "noop", ["OTEL_METRICS_EXPORTER=none"], {1: 1.25, 10: 1.12, 100: 1.12}, {1: 1.10, 10: 1.00, 100: 1.00}),
    ("traces and metrics", "noop", [], {1: 1.9, 10: 1.25, 100: 1.15}, {}),
    ("the same, and a line on stdout for each record", "logging", [], {}, {}),
    ("the same, and that line over OTLP", "logging", ["OTEL_LOGS_EXPORTER=otlp"], {}, {}),
]


def instructions(bench, mode):
    """Counted, not timed: the same on a busy machine."""
    if not bench.valgrind:
        yield Row("instructions per invocation", {}, str, note="skipped: no valgrind")
        return
    for batch, fewer, more in COUNTED:
        without = {peer: bench.instructions(peer, batch, fewer, more) for peer in present(bench) if peer != "noop"}
        for what, function, variables, musts, aims in EXPORTED:
            variables = [option for variable in variables for option in ("--set", variable)]
            values = {**without, "noop": bench.instructions(function, batch, fewer, more, what, variables)}
            without.pop("direct", None)
            title = f"instructions per invocation, batch {batch}: {what}"
            yield Row(title, values, lambda count: f"{count / 1000:,.0f} k", ratio, times, musts.get(batch), aims.get(batch))


def processor_time(bench, mode):
    rounds, invocations = (3, "20") if mode == "quick" else (9, "40")
    lines = bench.in_turns("batch 1000", rounds, plain(bench), ["--batch", "1000", "--warm", "5", "--invocations", invocations])
    values = {peer: median(lines[peer], "cpu_us") / 1000 for peer in lines}
    yield Row("CPU per invocation, batch 1000", values, lambda ms: f"{ms:.2f} ms", ratio, times, 1.40, 1.20)


def init(bench, mode):
    rounds = 7 if mode == "quick" else 31
    lines = bench.in_turns("init", rounds, plain(bench), ["--invocations", "0"])
    values = {peer: median(lines[peer], "init_cpu_us") / 1000 for peer in lines}
    yield Row("init CPU", values, lambda ms: f"{ms:.2f} ms", over, lambda ms: f"{ms:+.2f} ms", 0.35, 0.20)


def threads(bench, mode):
    lines = bench.in_turns("threads", 1, plain(bench), ["--invocations", "20"])
    values = {peer: lines[peer][0]["threads"] for peer in lines}
    yield Row("threads", values, str, itself, None, 1)


def responses(bench, mode):
    """What whoever waits for the response feels, with the flush before it and after it."""
    rounds, invocations = (3, "500") if mode == "quick" else (9, "1000")
    variants = plain(bench)
    variants["traces"] = ("noop", ["--set", "OTEL_METRICS_EXPORTER=none"])
    variants["after"] = ("noop", ["--set", "BATON_FLUSH_POINT=after-response"])
    with one_processor():
        lines = bench.in_turns("batch 10", rounds, variants, ["--batch", "10", "--warm", "200", "--invocations", invocations])
    microseconds = [lambda us: f"{us:.0f} µs", over, lambda us: f"{us:+.0f} µs"]
    values = {peer: median(lines[peer], "response_us") for peer in plain(bench)}
    traces = {**values, "noop": median(lines["traces"], "response_us")}
    yield Row("response p50, batch 10, flush before it: traces", traces, *microseconds, 60)
    # Two requests at the same time in the place of one: the limit for one is what they should keep to.
    yield Row("… traces and metrics", {**values, "direct": None}, *microseconds, None, 60)
    values = {"bare": values["bare"], "noop": median(lines["after"], "response_us")}
    note = None
    if any(line["before_response"] > 0 for line in lines["after"]):
        note = "not after it: spans came before the response"
    elif any(line["late"] + line["lost"] > 0 for line in lines["after"]):
        note = "spans came late or never"
    yield Row("response p50, batch 10, flush after it: traces and metrics", values, *microseconds, 25, note=note)


def large_batch(bench, mode):
    """One look at what becomes of ten thousand records, and at the memory that they took."""
    options = ["--batch", "10000", "--invocations", "3", "--collector-delay", FAR_COLLECTOR]
    lines = {peer: lines[0] for peer, lines in bench.in_turns("batch 10000", 1, plain(bench), options).items()}
    for key, when in (("lost", "lost"), ("late", "late")):
        values = {peer: line[key] / line["records"] for peer, line in lines.items() if peer != "bare"}
        yield Row(f"spans {when}, batch 10,000, collector {FAR_COLLECTOR} ms away", {"bare": None, **values}, percent, itself, None, 0)
    unlinked = {peer: 1 - line["linked"] / line["records"] for peer, line in lines.items() if peer != "bare"}
    yield Row("links lost, the same", {"bare": None, **unlinked}, percent, itself, None, 0)
    memory = {peer: line["peak_memory_kb"] * 1024 / MEGABYTE for peer, line in lines.items()}
    yield Row("peak memory, batch 10,000", memory, lambda mb: f"{mb:.1f} MB", over, lambda mb: f"{mb:+.1f} MB", 12)


# Invocations of the soak run, as in hours of load, and the memory growth allowed after the first tenth of them: allocator noise.
SOAK = 200_000
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
    yield Row(f"memory growth, {count:,} invocations", grown, show, itself, None, GROWTH_LIMIT_MEGABYTES)


def sizes(bench, mode):
    values = {name: os.path.getsize(path) / MEGABYTE for name, path in bench.binaries.items()}
    # Baton's has TLS by default; the others are shown with what they have.
    if "direct-tls" in values:
        values["direct"] = values["direct-tls"]
    title = "binary with TLS (bare: without), stripped" if "direct-tls" in values else "binary, stripped (only Baton's with TLS)"
    # With traces alone it was held to 3.3: metrics, log records, the spill, gzip and client certificates weigh the rest.
    yield Row(title, values, lambda mb: f"{mb:.2f} MB", itself, None, 3.55, 2.5)


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
# What does not depend on how busy the machine is.
CHECKED = [instructions, threads, large_batch, memory_growth, outages.hanging, outages.flaky, outages.replay, sizes]
