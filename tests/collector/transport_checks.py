"""Everything arrives whole, over each transport that the services speak."""

from bench import check
from collector import Collector
from services import Services
from whole import await_spans, check_spans

# Enough for several batches in more than one environment.
REQUESTS = 20


def arrives_whole(bench, binaries, variables, overlay=None):
    """Runs both services against a Collector; `variables` is given it, and says what the services are told."""
    folder = bench.folder()
    with Collector(bench.programs, folder, overlay) as collector:
        with Services(bench.programs, binaries, folder, variables(collector)) as services:
            requests = services.onboard(REQUESTS)
            await_spans(requests, collector.spans)
            services.stop()
        collector.stop()
        check_spans(requests, collector.spans())


@check
def over_http(bench):
    """everything arrives over http/protobuf"""
    arrives_whole(bench, bench.programs.plain, lambda collector: {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint("http")})
