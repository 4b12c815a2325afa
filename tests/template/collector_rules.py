"""Rules for the files in `infra/collector`. Each returns its complaints. They do not need a collector.

The files are a map from their names, such as `backends/otlp`, to their content.
"""

import itertools
import re

from collector_configuration import merged

# Sections that may define the components of each list in a pipeline. A connector is the exporter of
# one pipeline and the receiver of another.
DEFINED_IN = {
    "receivers": ("receivers", "connectors"),
    "processors": ("processors",),
    "exporters": ("exporters", "connectors"),
}

# `${env:NAME}`.
VARIABLE = re.compile(r"\$\{env:([A-Z0-9_]+)")

SIGNALS = ("traces", "metrics", "logs")

MILLISECONDS = {"ms": 1, "s": 1000}

# Bounds that Coralogix' APM reads, in milliseconds.
CORALOGIX_BUCKETS = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000]
# The range of the others, from a call to the store to a consumer's slowest message.
FIRST_BUCKET, LAST_BUCKET = 2, 15_000

ROLES = ((), ("gateway",), ("agent",), ("development",))
SPAN_METRICS = ("span-metrics-grafana", "span-metrics-coralogix")
# Accepts the signals that the other backend does not.
DISCARD = "backends/discard"
# Backends that accept only cumulative metrics.
CUMULATIVE_ONLY = ("backends/coralogix", "backends/grafana-cloud", "backends/prometheus", "backends/prometheus-remote-write")
# Does not have the common settings of `sending_queue`.
REMOTE_WRITE = "prometheus_remote_write"


def combinations(files):
    """Yields every combination of files that is used together."""
    backends = [name for name in files if name.startswith("backends/")]
    for role, metrics, backend in itertools.product(ROLES, SPAN_METRICS, backends):
        if role != ("development",) or metrics == "span-metrics-grafana":
            yield ["base", metrics, *role, *sorted({backend, DISCARD})]


def in_every_combination(rule):
    """Turns a rule for a complete configuration into one for the files."""

    def checked(files):
        return [
            f"{' + '.join(names)}: {complaint}"
            for names in combinations(files)
            for complaint in rule(joined(files, names))
        ]

    checked.__name__ = rule.__name__
    return checked


def joined(files, names):
    """Returns the configuration of several files."""
    config = {}
    for name in names:
        config = merged(config, files[name])
    return config


def pipelines(config):
    """Returns the pipelines by name."""
    return config["service"]["pipelines"]


def signal_of(pipeline):
    return pipeline.split("/")[0]


def every_signal_passes_through(config):
    """The receiver refuses a signal without a pipeline; a signal without a backend is discarded silently."""
    return [f"{signal}: no pipelines lead from otlp to a backend" for signal in SIGNALS if not arrives(config, signal)]


def arrives(config, signal):
    """Returns whether a signal passes from the receiver to an exporter."""
    reached = {"otlp"}
    while True:
        found = set(reached)
        for name, parts in pipelines(config).items():
            if signal_of(name) == signal and reached & set(parts["receivers"]):
                found.update(parts["exporters"])
        if found == reached:
            return bool(reached & set(config["exporters"]))
        reached = found


def pipelines_name_defined_components(config):
    """With an undefined component, the collector does not start."""
    complaints = [
        f"{pipeline}: {kind} {name} is not defined"
        for pipeline, parts in pipelines(config).items()
        for kind, sections in DEFINED_IN.items()
        for name in parts.get(kind, [])
        if not any(name in config.get(section, {}) for section in sections)
    ]
    return complaints + [f"extension {name} is not defined" for name in extensions(config) if name not in config.get("extensions", {})]


def extensions(config):
    """Returns the extensions of the service, with the value that `QUEUE_STORAGE` must have."""
    return ["file_storage" if name == "${env:QUEUE_STORAGE}" else name for name in config["service"].get("extensions", [])]


def defined_components_are_used(config):
    """A component that no pipeline uses looks active but is not."""
    used = set(extensions(config))
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
    """The limiter is first in each pipeline with a receiver, so that the sender is told. Other pipelines do not have one."""
    complaints = []
    for pipeline, parts in pipelines(config).items():
        receives = any(name in config["receivers"] for name in parts["receivers"])
        processors = parts.get("processors", [])
        if receives and processors[:1] != ["memory_limiter"] or not receives and "memory_limiter" in processors:
            complaints.append(f"{pipeline}: processors are {processors}")
    return complaints


def span_metrics_count_unsampled_spans(config):
    """Sampling is off by default, and never precedes the span metrics, which would then count only a part of the spans."""
    complaints = []
    if config["processors"]["probabilistic_sampler"]["sampling_percentage"] != "${env:TRACES_SAMPLING_PERCENTAGE:-100}":
        complaints.append("the default percentage is not 100")
    for pipeline, parts in pipelines(config).items():
        leads = (parts["receivers"], parts["exporters"])
        if ("probabilistic_sampler" in parts.get("processors", [])) != (leads == (["forward/spans"], ["forward/backends"])):
            complaints.append(f"{pipeline}: samples, or passes spans to the backends without sampling")
    return complaints


def listeners_are_on_loopback_by_default(config):
    """A sidecar's senders share its loopback interface; other addresses must be set explicitly."""
    endpoints = [protocol["endpoint"] for protocol in config["receivers"]["otlp"]["protocols"].values()]
    endpoints.append(config["extensions"]["health_check"]["endpoint"])
    [reader] = config["service"]["telemetry"]["metrics"]["readers"]
    own = reader["pull"]["exporter"]["prometheus"]
    endpoints.append(f"{own['host']}:{own['port']}")
    wide = [text for text in endpoints if "${env:OTLP_LISTEN_HOST:-127.0.0.1}" not in text]
    ports = sorted(text.rsplit(":", 1)[1] for text in endpoints)
    complaints = [f"{text} is not on loopback by default" for text in wide]
    return complaints if ports == ["13133", "4317", "4318", "8888"] else [*complaints, f"ports are {ports}"]


def span_metrics_have_dimensions(files):
    """The attributes that Coralogix APM and the dashboards read, sent every 15 seconds, without batches."""
    complaints = []
    for (name, connector), wanted in DIMENSIONS.items():
        settings = files[name]["connectors"][connector]
        found = {dimension["name"] for dimension in settings["dimensions"]}
        if found != wanted:
            complaints.append(f"{name}, {connector}: dimensions are {sorted(found)}, expected {sorted(wanted)}")
        if settings["metrics_flush_interval"] != "15s":
            complaints.append(f"{name}, {connector}: is sent every {settings['metrics_flush_interval']}")
        [pipeline] = [parts for parts in pipelines(files[name]).values() if parts["exporters"] == [connector]]
        if not {"filter/batches", "filter/database"} & set(pipeline["processors"]):
            complaints.append(f"{name}, {connector}: counts batches")
    return complaints


KUBERNETES = {"k8s.namespace.name", "k8s.pod.name"}
DATABASE = {"db.namespace", "db.system"}
DIMENSIONS = {
    ("span-metrics-coralogix", "span_metrics"): {
        *("http.method", "http.status_code", "http.response.status_code", "rpc.grpc.status_code", "messaging.destination.name", "error.type"),
        *("service.version", "deployment.environment", "k8s.deployment.name", *KUBERNETES),
    },
    ("span-metrics-coralogix", "span_metrics/compact"): set(),
    ("span-metrics-coralogix", "span_metrics/db"): {*DATABASE, "db.operation.name", "db.collection.name", "service.version"},
    ("span-metrics-coralogix", "span_metrics/db_compact"): DATABASE,
    ("span-metrics-grafana", "span_metrics"): {
        *("http.request.method", "http.response.status_code", "messaging.destination.name", "db.system.name", "error.type"),
        *("service.namespace", "service.version", "deployment.environment.name", *KUBERNETES),
    },
}


def span_metrics_have_buckets(files):
    """Explicit buckets in ascending order: those that Coralogix reads, or others from 2 ms to 15 s."""
    complaints = []
    for name in SPAN_METRICS:
        for connector, settings in files[name]["connectors"].items():
            buckets = settings["histogram"]["explicit"]["buckets"]
            parsed = [re.fullmatch(r"(\d+)(ms|s)", bucket) for bucket in buckets]
            bounds = [int(found[1]) * MILLISECONDS[found[2]] for found in parsed if found]
            if len(bounds) < len(buckets) or bounds != sorted(set(bounds)) or (bounds[0], bounds[-1]) != (FIRST_BUCKET, LAST_BUCKET):
                complaints.append(f"{name}, {connector}: buckets {buckets} do not rise from 2ms to 15s")
            if name == "span-metrics-coralogix" and bounds != CORALOGIX_BUCKETS:
                complaints.append(f"{name}, {connector}: buckets are {bounds}, expected {CORALOGIX_BUCKETS}")
    return complaints


def backends_and_keys_come_from_the_environment(files):
    """One file for every account, without a key."""
    complaints = []
    for name, exporter, settings in exporters(files):
        values = {"endpoint": settings.get("endpoint", ""), **settings.get("headers", {})}
        complaints += [f"{name}: {exporter}: {key} does not come from a variable" for key, value in values.items() if not VARIABLE.search(str(value))]
    return complaints


def exporters(files):
    """Yields the exporters of all files, except those that send nothing."""
    for name, content in files.items():
        for exporter, settings in content.get("exporters", {}).items():
            if exporter not in ("debug", "nop"):
                yield name, exporter, settings


def accepted_data_is_kept(files):
    """Exporters retry without a time limit, send batches of limited size, and queue in memory or on a gateway's disk."""
    complaints = []
    for name, exporter, settings in exporters(files):
        if exporter == REMOTE_WRITE:
            continue
        queue = settings.get("sending_queue", {})
        if settings.get("retry_on_failure", {}).get("max_elapsed_time") != 0:
            complaints.append(f"{name}: {exporter} gives up after some time")
        if queue.get("storage") != "${env:QUEUE_STORAGE:-null}":
            complaints.append(f"{name}: {exporter} keeps its queue in {queue.get('storage')}")
        # Backends accept 4 MiB per request; 1024 spans or log records of a few KiB stay below that.
        if not 0 < queue.get("batch", {}).get("max_size", 0) <= 1024 or queue["batch"].get("sizer") != "items":
            complaints.append(f"{name}: {exporter} has no batches of at most 1024")
        if queue.get("sizer") != "bytes" or queue.get("queue_size") != "${env:QUEUE_BYTES:-400000000}":
            complaints.append(f"{name}: {exporter}: the queue may be full before the memory limiter refuses data")
    return complaints


def deltas_are_converted(files):
    """These backends discard deltas."""
    return [
        f"{name}: {pipeline} has no delta_to_cumulative"
        for name in CUMULATIVE_ONLY
        for pipeline, parts in pipelines(files[name]).items()
        if signal_of(pipeline) == "metrics" and parts.get("processors", [])[:1] != ["delta_to_cumulative"]
    ]


def no_list_loses_elements(files):
    """The collector replaces a list by that of a later file, which must therefore contain the elements of the first."""
    complaints = []
    for names in combinations(files):
        for earlier, later in itertools.combinations(names, 2):
            there = dict(lists(files[later]))
            for path, elements in lists(files[earlier]):
                lost = [element for element in elements if element not in there.get(path, elements)]
                complaints += [f"{later}: {'.'.join(path)} replaces that of {earlier} and loses {element}" for element in lost]
    return list(dict.fromkeys(complaints))


def lists(content, path=()):
    """Yields the lists in a configuration with their paths."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from lists(value, (*path, key))
        elif isinstance(value, list):
            yield (*path, key), value


RULES = [
    *map(
        in_every_combination,
        [
            every_signal_passes_through,
            pipelines_name_defined_components,
            defined_components_are_used,
            connectors_join_two_pipelines,
            memory_is_limited_first,
            span_metrics_count_unsampled_spans,
            listeners_are_on_loopback_by_default,
        ],
    ),
    span_metrics_have_dimensions,
    span_metrics_have_buckets,
    backends_and_keys_come_from_the_environment,
    accepted_data_is_kept,
    deltas_are_converted,
    no_list_loses_elements,
]
