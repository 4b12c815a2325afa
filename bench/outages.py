"""What a collector that is out of order costs, and what becomes of the spans meanwhile."""

from measure import median, one_processor
from rows import Row, itself, percent

INVOCATIONS = 100
# So many invocations find a working collector first, so that the rest is measured with a connection at hand and code in the caches.
WARM = 100
# What one flush may take, by default, in milliseconds.
BUDGET = 1000
# An invocation that takes so much longer than the median with a working collector has waited for the collector. A fiftieth of the budget:
# more than a quiet machine adds by itself.
WAIT = 20
# Without Baton each invocation waits for seconds: so few of them tell it.
FEW = {"refuse": 5, "status=503": 5, "retry-after=1": 5, "hang": 2}

# What is wrong with the collector, as the harness calls it and as the table does.
FAILURES = [
    ("refuse", "collector refuses connections"),
    ("status=503", "collector answers 503"),
    ("retry-after=1", "collector answers 503 with Retry-After"),
]


def options(collector, invocations=INVOCATIONS, warm=WARM):
    return ["--collector", collector, "--batch", "10", "--warm", str(warm), "--invocations", str(invocations)]


def failing(bench, mode):
    """Beside a working collector in the same rounds, on one processor as the rows of the response."""
    rounds = 3 if mode == "quick" else 9
    variants = {collector: ("noop", options(collector)) for collector in ("ok", *dict(FAILURES))}
    with one_processor():
        lines = bench.in_turns("outage", rounds, variants, [])
        others = direct(bench, dict(FAILURES))
    working = median(lines["ok"], "ready_us") / 1000
    for collector, title in FAILURES:
        median_over = {"noop": median(lines[collector], "ready_us") / 1000 - working}
        slowest_over = {"noop": max(line["slowest_ms"][0] for line in lines[collector]) - working}
        if others:
            median_over["direct"] = others[collector]["ready_us"] / 1000 - others["ok"]["ready_us"] / 1000
            slowest_over["direct"] = others[collector]["slowest_ms"][0] - others["ok"]["ready_us"] / 1000
        yield Row(f"{title}: median invocation over a working one's", median_over, milliseconds, itself, None, 0.2)
        yield Row("slowest of 100, the same", slowest_over, milliseconds, itself, None, BUDGET + WAIT)


def hanging(bench, mode):
    """How many wait, and how long. A busy machine has some wait that do not: what is held to a limit has three attempts to show that."""
    with one_processor():
        found = [waits(bench) for _ in range(3 if mode == "check" else 1)]
        others = direct(bench, {"hang": ""})
    count, longest = min(found)
    counts, times = {"noop": count}, {"noop": longest}
    if others:
        over = [time - others["ok"]["ready_us"] / 1000 for time in others["hang"]["slowest_ms"]]
        counts["direct"] = f"{sum(time > WAIT for time in over)} of {len(over)}"
        times["direct"] = max(over)
    yield Row("collector hangs: invocations of 100 that wait", counts, str, itself, None, 3)
    yield Row("the longest wait", times, milliseconds, itself, None, BUDGET + WAIT)


def waits(bench):
    working = bench.run("noop", "outage, ok", options("ok"))["ready_us"] / 1000
    line = bench.run("noop", "outage, hang", options("hang"))
    over = [time - working for time in line["slowest_ms"]]
    return sum(time > WAIT for time in over), max(over)


def flaky(bench, mode):
    lines = {"noop": bench.run("noop", "outage, flaky", [*options("flaky=3"), "--replay", bench.binaries["baton"]])}
    exported = {"noop": missing(lines["noop"])}
    lost = {"noop": missing(lines["noop"], "replayed_")}
    if "direct" in bench.binaries:
        lost["direct"] = exported["direct"] = missing(bench.run("direct", "outage, flaky", options("flaky=3")))
    yield Row("collector answers every third request 503: spans lost", lost, percent, itself, None, 0)
    yield Row("spans not exported by the function itself, the same", exported, percent, itself)


def replay(bench, mode):
    """Of every span that the function made, one must be at the collector in the end, with its links: none is missing, none is there twice."""
    for batch, invocations, title in [
        (10, INVOCATIONS, "spans recovered by `baton replay` after an outage of 100 invocations"),
        (10_000, 1, "spans recovered by `baton replay` after one batch of 10,000"),
    ]:
        options = ["--collector", "refuse", "--batch", str(batch), "--invocations", str(invocations)]
        line = bench.run("noop", f"replay, batch {batch}", [*options, "--replay", bench.binaries["baton"]])
        links = line["records"] - line["replayed_linked"]
        wrong = missing(line, "replayed_") + (line["replayed_again"] + links) / spans(line)
        yield Row(title, {"noop": wrong}, lambda share: percent_of_all(1 - share), itself, None, 0, limit="100 %")


def missing(line, prefix=""):
    """The share of all spans that never arrived."""
    batches = line["records"] // line["batch"]
    return (line[prefix + "lost"] + batches - line[prefix + "batches"]) / spans(line)


def spans(line):
    return line["records"] + line["records"] // line["batch"]


def direct(bench, collectors):
    """One run each of what is built without Baton, where it takes part."""
    if "direct" not in bench.binaries:
        return {}
    return {
        collector: bench.run("direct", f"outage, {collector}", options(collector, FEW.get(collector, INVOCATIONS)))
        for collector in ("ok", *collectors)
    }


def milliseconds(value):
    return f"{value:+,.0f} ms" if abs(value) >= 100 else f"{value:+.2f} ms"


def percent_of_all(share):
    # All is all: what is rounded away must show.
    return "100 %" if share == 1 else f"{min(share * 100, 99.99):.2f} %"
