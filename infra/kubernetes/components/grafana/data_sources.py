#!/usr/bin/env python3
"""Writes data-sources.yaml from the data sources of infra/grafana. Run it after changing those.

The chart kube-prometheus-stack has a data source with the uid prometheus, so this file has none.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "grafana/provisioning/datasources/datasources.yaml"
TARGET = HERE / "data-sources.yaml"
HEAD = """\
# Written by data_sources.py. The data sources Tempo and Loki, for the Grafana of the chart
# kube-prometheus-stack, which has the data source Prometheus. For links from charts to traces, set
# its value grafana.sidecar.datasources.exemplarTraceIdDestinations to
# {datasourceUid: tempo, traceIdLabelName: trace_id}.
#
# Grafana expands variables in this file: $$ is a dollar sign.

apiVersion: 1

datasources:
"""
# The Services, as Grafana in another namespace reaches them.
ADDRESSES = {
    "http://tempo:3200": "http://tempo.observability:3200",
    "http://loki:3100": "http://loki.monitoring:3100",
}


def data_sources():
    """Returns the content of data-sources.yaml."""
    entries = re.split(r"^(?=  - name: )", SOURCE.read_text(), flags=re.MULTILINE)[1:]
    kept = "".join(entry for entry in entries if "\n    type: prometheus\n" not in entry)
    for address, replacement in ADDRESSES.items():
        if address not in kept:
            sys.exit(f"{SOURCE}: expected the address {address}")
        kept = kept.replace(address, replacement)
    return HEAD + kept


if __name__ == "__main__":
    TARGET.write_text(data_sources())
