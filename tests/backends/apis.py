"""The query APIs of Prometheus, Loki and Tempo, as Grafana's data sources call them."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple

TIMEOUT_SECONDS = 10
KINDS = {f"SPAN_KIND_{name}": name for name in ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")}


def get(url, parameters=None, headers=None):
    """Returns the response to a GET request, as JSON."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    with urllib.request.urlopen(urllib.request.Request(url + query, headers=headers or {}), timeout=TIMEOUT_SECONDS) as response:
        return json.load(response)


def text(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=TIMEOUT_SECONDS) as response:
        return response.read().decode()


class Api:
    def __init__(self, url):
        self.url = url


class Prometheus(Api):
    def query(self, expression):
        """Returns the labels and the value of each series."""
        series = self.get("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in series]

    def range(self, expression, since, step):
        """Returns the values of each series from a time until now."""
        return [[float(value) for _, value in one["values"]] for one in self.series(expression, since, step)]

    def series(self, expression, since, step):
        """Returns the labels of each series, as `metric`, and its pairs of times and `values`."""
        return self.get("query_range", query=expression, start=since, end=time.time(), step=step)["result"]

    def exemplars(self, selector, since):
        """Returns the labels of each series with its exemplars."""
        return [
            (series["seriesLabels"], series["exemplars"])
            for series in self.get("query_exemplars", query=selector, start=since, end=time.time() + 1)
        ]

    def rules(self):
        """Returns the rules that have been evaluated, by the names of their alerts."""
        return {rule["name"]: rule for group in self.get("rules")["groups"] for rule in group["rules"] if rule["health"] != "unknown"}

    def alerts(self):
        return self.get("alerts")["alerts"]

    def targets(self):
        """Returns the health of each job's target, with its last error."""
        active = self.get("targets", state="active")["activeTargets"]
        return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in active}

    def retention(self):
        return self.get("status/runtimeinfo")["storageRetention"]

    def get(self, path, **parameters):
        return get(f"{self.url}/api/v1/{path}", parameters)["data"]


class Line(NamedTuple):
    """A log line. `labels` are those of its stream, `metadata` is its structured metadata."""

    labels: dict
    metadata: dict
    text: str


class Loki(Api):
    def lines(self, query, since):
        """Returns the lines that a query finds, with structured metadata separate from labels, as Grafana asks for them."""
        headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
        bounds = {"start": int(since * 1e9), "end": int((time.time() + 60) * 1e9)}
        found = get(f"{self.url}/loki/api/v1/query_range", {"query": query, "limit": 5000, **bounds}, headers)["data"]
        return [
            Line(stream["stream"], parts[0].get("structuredMetadata", {}) if parts else {}, line)
            for stream in found["result"]
            for _, line, *parts in stream["values"]
        ]

    def configuration(self):
        return text(f"{self.url}/config")


class Span(NamedTuple):
    service: str
    name: str
    kind: str
    span: str
    parent: str


class Tempo(Api):
    def spans(self, trace):
        """Returns the spans of a trace, or none if the trace is unknown."""
        try:
            found = get(f"{self.url}/api/v2/traces/{trace}", headers={"Accept": "application/json"})
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []
        return [
            Span(
                service_of(part), wire["name"], KINDS[wire["kind"]], hexadecimal(wire["spanId"]), hexadecimal(wire.get("parentSpanId", ""))
            )
            for part in found["trace"].get("resourceSpans", [])
            for scope in part["scopeSpans"]
            for wire in scope["spans"]
        ]

    def search(self, query):
        """Returns the ids of the traces that a TraceQL query finds."""
        found = get(f"{self.url}/api/search", {"q": query, "limit": 1000})["traces"]
        return {trace["traceID"].zfill(32) for trace in found}

    def configuration(self):
        return text(f"{self.url}/status/config")


def service_of(part):
    attributes = part["resource"]["attributes"]
    return next(pair["value"]["stringValue"] for pair in attributes if pair["key"] == "service.name")


def hexadecimal(identifier):
    """Converts an id, which protobuf's JSON encodes with base64."""
    return base64.b64decode(identifier).hex()
