"""Rules for `infra/collector/config.yaml`. Each returns its complaints. They do not need a collector."""

import re

# Sections that may define the components of each list in a pipeline. A connector is the exporter of
# one pipeline and the receiver of another.
DEFINED_IN = {
    "receivers": ("receivers", "connectors"),
    "processors": ("processors",),
    "exporters": ("exporters", "connectors"),
}

# `${env:NAME}` and `${env:NAME:-default}`.
VARIABLE = re.compile(r"\$\{env:([A-Z_]+)(?::-([^}]*))?\}")

SIGNALS = ("traces", "metrics", "logs")

MILLISECONDS = {"ms": 1, "s": 1000}

# The range of the span metrics, from a call to the store to a consumer's slowest message.
FIRST_BUCKET_MS = 2
LAST_BUCKET_MS = 15_000


def pipelines(config):
    """Returns the pipelines by name."""
    return config["service"]["pipelines"]


def every_signal_passes_through(config):
    """The receiver refuses a signal without a pipeline; a signal without a backend is discarded silently."""
    backends = set(config["exporters"])
    return [
        f"{signal}: no pipeline leads from otlp to {', '.join(sorted(backends))}"
        for signal in SIGNALS
        if not any(
            "otlp" in parts["receivers"] and backends & set(parts["exporters"])
            for name, parts in pipelines(config).items()
            if name.split("/")[0] == signal
        )
    ]


def pipelines_name_defined_components(config):
    """With an undefined component, the collector does not start."""
    complaints = [
        f"{pipeline}: {kind} {name} is not defined"
        for pipeline, parts in pipelines(config).items()
        for kind, sections in DEFINED_IN.items()
        for name in parts.get(kind, [])
        if not any(name in config.get(section, {}) for section in sections)
    ]
    extensions = config["service"].get("extensions", [])
    return complaints + [f"extension {name} is not defined" for name in extensions if name not in config.get("extensions", {})]


def defined_components_are_used(config):
    """A component that no pipeline uses looks active but is not."""
    used = set(config["service"].get("extensions", []))
    for parts in pipelines(config).values():
        used.update(name for kind in DEFINED_IN for name in parts.get(kind, []))
    sections = ("extensions", "receivers", "processors", "connectors", "exporters")
    return [f"{section}: {name} is used nowhere" for section in sections for name in config.get(section, {}) if name not in used]


def connectors_join_two_pipelines(config):
    """A connector is an exporter in one pipeline and a receiver in another."""
    complaints = []
    for name in config.get("connectors", {}):
        for kind in ("exporters", "receivers"):
            if not any(name in parts.get(kind, []) for parts in pipelines(config).values()):
                complaints.append(f"{name}: is among no pipeline's {kind}")
    return complaints


def memory_is_limited_first(config):
    """The limiter refuses data before it is processed; batches follow."""
    return [
        f"{pipeline}: processors are {parts.get('processors')}, expected memory_limiter first and batch last"
        for pipeline, parts in pipelines(config).items()
        if parts.get("processors", [])[:1] != ["memory_limiter"] or parts["processors"][-1:] != ["batch"]
    ]


def listeners_are_on_loopback_unless_told(config):
    """A sidecar's senders share its loopback interface; other addresses must be set explicitly."""
    endpoints = [protocol["endpoint"] for protocol in config["receivers"]["otlp"]["protocols"].values()]
    endpoints += [extension["endpoint"] for extension in config["extensions"].values() if "endpoint" in extension]
    wide = [text for text in endpoints if not VARIABLE.sub(lambda found: found[2] or "", text).startswith("127.0.0.1:")]
    ports = sorted(text.rsplit(":", 1)[1] for text in endpoints)
    complaints = [f"{text} is not on loopback by default" for text in wide]
    return complaints if ports == ["13133", "4317", "4318"] else [*complaints, f"ports are {ports}"]


def span_metrics_cover_the_range(config):
    """Explicit buckets in ascending order, from 2 ms to 15 s."""
    buckets = config["connectors"]["span_metrics"]["histogram"]["explicit"]["buckets"]
    parsed = [re.fullmatch(r"(\d+)(ms|s)", bucket) for bucket in buckets]
    if not all(parsed):
        return [f"buckets {buckets} are not all whole milliseconds or seconds"]
    bounds = [int(found[1]) * MILLISECONDS[found[2]] for found in parsed]
    if bounds != sorted(set(bounds)) or (bounds[0], bounds[-1]) != (FIRST_BUCKET_MS, LAST_BUCKET_MS):
        return [f"buckets {buckets} do not rise from 2ms to 15s"]
    return []


def backend_and_key_come_from_the_environment(config):
    """One file for every backend, without a key."""
    complaints = []
    for name, exporter in config["exporters"].items():
        values = {"endpoint": exporter.get("endpoint", ""), **exporter.get("headers", {})}
        complaints += [f"{name}: {key} is written out" for key, value in values.items() if not VARIABLE.fullmatch(str(value))]
    return complaints


RULES = [
    every_signal_passes_through,
    pipelines_name_defined_components,
    defined_components_are_used,
    connectors_join_two_pipelines,
    memory_is_limited_first,
    listeners_are_on_loopback_unless_told,
    span_metrics_cover_the_range,
    backend_and_key_come_from_the_environment,
]
