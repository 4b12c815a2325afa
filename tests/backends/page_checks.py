"""The commands of docs/operate.md that are for the Compose stack. tests/deploy runs the others."""

import json

from bench import until
from files import needing, output
from pages import check_complete, sections

CHECKS = []

# Sections whose commands are not run here, and the reasons.
NOT_RUN = dict.fromkeys(
    (
        "Operating",
        "Where to look",
        "Restarts",
        "Dead letters",
        "Half of the services are missing",
        "Lost spans",
        "Verifying the pipeline",
    ),
    "tests/deploy/operate_checks.py runs them, because they need AWS",
)


@needing()
def operate(stack):
    """the query of docs/operate.md finds spans that the Collector has received and sent, and its queues"""
    commands = sections((stack.files.root / "docs/operate.md").read_text())
    check_complete(commands, {"No traces"}, NOT_RUN)
    command = commands["No traces"]
    assert "http://127.0.0.1:9090" in command, command
    command = command.replace("http://127.0.0.1:9090", stack.prometheus.url)

    def metrics():
        series = json.loads(output("bash", "-c", f"set -euo pipefail; {command}"))["data"]["result"]
        return {one["metric"]["__name__"] for one in series}

    expected = {"otelcol_receiver_accepted_spans_total", "otelcol_exporter_queue_size"}
    # Without Tempo, the Collector discards spans.
    expected |= {"otelcol_exporter_sent_spans_total"} if stack.programs.tempo else set()
    until(lambda: metrics() >= expected, lambda: f"found {metrics()}, expected {expected}")
