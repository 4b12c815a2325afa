"""The settings of Grafana Alloy's components, and a check of a configuration against them."""

import re

# The version of Alloy whose documentation the table is from.
VERSION = "1.18"

OUTPUT = {"output*": "logs metrics traces"}
QUEUE = {
    "sending_queue": "block_on_overflow:boolean enabled:boolean num_consumers:number queue_size:number sizer storage "
    "wait_for_result:boolean",
    "sending_queue batch": "flush_timeout:duration max_size:number min_size:number sizer",
}
RETRY = (
    "enabled:boolean initial_interval:duration max_elapsed_time:duration max_interval:duration multiplier:number "
    "randomization_factor:number"
)

# The blocks of each component by path, with their arguments. The block "" is the component itself. A
# star marks what is required. A type follows a colon; arguments without one are not checked.
# Blocks for TLS, CORS, keepalive and debugging are left out.
COMPONENTS = {
    "otelcol.receiver.otlp": {
        "": "",
        "grpc": "auth endpoint include_metadata:boolean max_concurrent_streams:number max_recv_msg_size read_buffer_size transport "
        "write_buffer_size",
        "http": "auth compression_algorithms endpoint idle_timeout:duration include_metadata:boolean keep_alives_enabled:boolean "
        "logs_url_path max_request_body_size metrics_url_path read_header_timeout:duration read_timeout:duration traces_url_path "
        "write_timeout:duration",
        **OUTPUT,
    },
    "otelcol.processor.memory_limiter": {
        "": "check_interval*:duration limit limit_percentage:number spike_limit spike_limit_percentage:number",
        **OUTPUT,
    },
    "otelcol.processor.batch": {
        "": "metadata_cardinality_limit:number metadata_keys send_batch_max_size:number send_batch_size:number timeout:duration",
        **OUTPUT,
    },
    "otelcol.processor.deltatocumulative": {"": "max_stale:duration max_streams:number", **OUTPUT},
    "otelcol.auth.basic": {"": "", "client_auth": "password password_file username username_file", "htpasswd": "file inline"},
    "otelcol.exporter.otlphttp": {
        "": "encoding logs_endpoint metrics_endpoint traces_endpoint",
        "client*": "auth compression disable_keep_alives:boolean endpoint* force_attempt_http2:boolean headers http2_ping_timeout:duration "
        "http2_read_idle_timeout:duration idle_conn_timeout:duration max_conns_per_host:number max_idle_conns_per_host:number "
        "max_idle_conns:number proxy_url read_buffer_size timeout:duration write_buffer_size",
        "client compression_params": "level*:number",
        "client cookies": "enabled:boolean",
        "retry_on_failure": RETRY,
        **QUEUE,
    },
}
# Exported fields that other components refer to, for components that do not export `input`.
EXPORTS = {"otelcol.receiver.otlp": None, "otelcol.auth.basic": "handler"}

TYPES = {
    "boolean": re.compile("true|false"),
    "number": re.compile(r"\d+(\.\d+)?"),
    "duration": re.compile(r'"(\d+(\.\d+)?(ns|us|ms|s|m|h))+"'),
}


def complaints(configuration):
    """Returns unknown and missing settings, values of a wrong type, and unknown references of a configuration."""
    found, exported, references = [], set(), set()
    for component in configuration["blocks"]:
        name = component["name"]
        if name not in COMPONENTS:
            found.append(f"unknown component {name}")
            continue
        exports = EXPORTS.get(name, "input")
        exported |= {f"{name}.{component['label']}.{exports}"} if exports else set()
        found += block_complaints(name, blocks_of(name), (), component)
        references |= references_of(component)
    return found + [f"unknown reference {reference}" for reference in sorted(references - exported)]


def blocks_of(component):
    """Returns the blocks of a component by path, each as a pair: whether it is required, and its arguments by name. An argument is
    also a pair: whether it is required, and its type, which is empty if the value is not checked."""
    blocks = {}
    for path, arguments in COMPONENTS[component].items():
        parsed = {}
        for argument in arguments.split():
            name, _, kind = argument.partition(":")
            parsed[name.removesuffix("*")] = (name.endswith("*"), kind)
        blocks[tuple(path.removesuffix("*").split())] = (path.endswith("*"), parsed)
    return blocks


def block_complaints(component, blocks, path, block):
    """Yields complaints about a block and those in it."""
    place = " ".join([component, *path])
    if path not in blocks:
        yield f"unknown block {place}"
        return
    _, arguments = blocks[path]
    for name, value in block["arguments"].items():
        if name not in arguments:
            yield f"unknown argument {place} {name}"
        elif (kind := arguments[name][1]) and not TYPES[kind].fullmatch(value):
            yield f"{place} {name}: expected a {kind}, found {value}"
    required_names = [name for name, (required, _) in arguments.items() if required]
    yield from (f"missing argument {place} {name}" for name in required_names if name not in block["arguments"])
    inner = [member["name"] for member in block["blocks"]]
    for other, (required, _) in blocks.items():
        if required and other[:-1] == path and other[-1] not in inner:
            yield f"missing block {place} {other[-1]}"
    yield from (f"block {place} {name} occurs {inner.count(name)} times" for name in set(inner) if inner.count(name) > 1)
    for member in block["blocks"]:
        yield from block_complaints(component, blocks, (*path, member["name"]), member)


def references_of(block):
    """Returns the references to components in a block and those in it."""
    found = {reference for value in block["arguments"].values() for reference in re.findall(r"otelcol(?:\.\w+)+", value)}
    return found.union(*(references_of(member) for member in block["blocks"]))
