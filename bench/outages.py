"""Failing collectors: the delay of invocations, and the spans that are lost."""

from measure import median, one_processor
from rows import Row, absolute, percent

INVOCATIONS = 100
# Invocations with a working collector before the measurement, so that a connection is open and the
# code is in the caches.
WARM = 100
# Default time limit of a flush in milliseconds.
BUDGET = 1000
# An invocation that takes this many milliseconds longer than the median with a working collector
# has waited for the collector. A fiftieth of the budget, which is more than a quiet machine adds.
WAIT = 20
# Numbers of invocations without Baton. Few are enough, because each waits for seconds.
FEW = {"refuse": 5, "status=503": 5, "retry-after=1": 5, "hang": 2}

# Failures of the collector: the option of the harness, and the title in the table.
FAILURES = [
    ("refuse", "collector refuses connections"),
    ("status=503", "collector responds with 503"),
    ("retry-after=1", "collector responds with 503 and Retry-After"),
]


def options(collector, invocations=INVOCATIONS, warm=WARM):
    return ["--collector", collector, "--batch", "10", "--warm", str(warm), "--invocations", str(invocations)]


def failing(bench, mode):
    """The delay by collectors that fail quickly, compared with a working collector in the same rounds, on one processor."""
    rounds = 3 if mode == "quick" else 9
    variants = {collector: ("noop", options(collector)) for collector in ("ok", *dict(FAILURES))}
    with one_processor():
        lines = bench.run_alternately("outage", rounds, variants, [])
        others = run_direct(bench, dict(FAILURES))
    working = median(lines["ok"], "ready_us") / 1000
    for collector, title in FAILURES:
        median_over = {"noop": median(lines[collector], "ready_us") / 1000 - working}
        slowest_over = {"noop": max(line["slowest_ms"][0] for line in lines[collector]) - working}
        if others:
            median_over["direct"] = others[collector]["ready_us"] / 1000 - others["ok"]["ready_us"] / 1000
            slowest_over["direct"] = others[collector]["slowest_ms"][0] - others["ok"]["ready_us"] / 1000
        yield Row(f"{title}: median delay of an invocation", median_over, milliseconds, absolute, None, 0.2)
        yield Row("the same, slowest of 100", slowest_over, milliseconds, absolute, None, BUDGET + WAIT)


def hanging(bench, mode):
    """The number and the delay of invocations that wait. On a busy machine others take as long, so a check has three attempts."""
    with one_processor():
        found = [count_waits(bench) for _ in range(3 if mode == "check" else 1)]
        others = run_direct(bench, {"hang": ""})
    count, longest = min(found)
    counts, times = {"noop": count}, {"noop": longest}
    if others:
        delays = [time - others["ok"]["ready_us"] / 1000 for time in others["hang"]["slowest_ms"]]
        counts["direct"] = f"{sum(delay > WAIT for delay in delays)} of {len(delays)}"
        times["direct"] = max(delays)
    yield Row("collector hangs: invocations of 100 that wait", counts, str, absolute, None, 3)
    yield Row("the longest wait", times, milliseconds, absolute, None, BUDGET + WAIT)


def count_waits(bench):
    working = bench.run("noop", "outage, ok", options("ok"))["ready_us"] / 1000
    line = bench.run("noop", "outage, hang", options("hang"))
    delays = [time - working for time in line["slowest_ms"]]
    return sum(delay > WAIT for delay in delays), max(delays)


def flaky(bench, mode):
    lines = {"noop": bench.run("noop", "outage, flaky", [*options("flaky=3"), "--replay", bench.binaries["baton"]])}
    exported = {"noop": missing(lines["noop"])}
    lost = {"noop": missing(lines["noop"], "replayed_")}
    if "direct" in bench.binaries:
        lost["direct"] = exported["direct"] = missing(bench.run("direct", "outage, flaky", options("flaky=3")))
    yield Row("collector responds to every third request with 503: spans lost", lost, percent, absolute, None, 0)
    yield Row("spans not exported by the function itself, the same", exported, percent, absolute)


def replay(bench, mode):
    """Spans that arrive after a replay. Each must arrive exactly once, with its links."""
    for batch, invocations, title in [
        (10, INVOCATIONS, "spans recovered by `baton replay` after an outage of 100 invocations"),
        (10_000, 1, "spans recovered by `baton replay` after one batch of 10,000"),
    ]:
        options = ["--collector", "refuse", "--batch", str(batch), "--invocations", str(invocations)]
        line = bench.run("noop", f"replay, batch {batch}", [*options, "--replay", bench.binaries["baton"]])
        links = line["records"] - line["replayed_linked"]
        wrong = missing(line, "replayed_") + (line["replayed_again"] + links) / spans(line)
        yield Row(title, {"noop": wrong}, lambda share: percent_of_all(1 - share), absolute, None, 0, limit="100 %")


def missing(line, prefix=""):
    """Returns the share of spans that never arrived."""
    batches = line["records"] // line["batch"]
    return (line[prefix + "lost"] + batches - line[prefix + "batches"]) / spans(line)


def spans(line):
    return line["records"] + line["records"] // line["batch"]


def run_direct(bench, collectors):
    """Runs `direct` once with each collector, if it takes part."""
    if "direct" not in bench.binaries:
        return {}
    return {
        collector: bench.run("direct", f"outage, {collector}", options(collector, FEW.get(collector, INVOCATIONS)))
        for collector in ("ok", *collectors)
    }


def milliseconds(value):
    return f"{value:+,.0f} ms" if abs(value) >= 100 else f"{value:+.2f} ms"


def percent_of_all(share):
    # A share below one that rounds to 100 % must not be shown as 100 %.
    return "100 %" if share == 1 else f"{min(share * 100, 99.99):.2f} %"
