"""Rules for infra/helm and for Coralogix' chart rendered with its values. Each returns its complaints.

CI does not download the chart, so the rules read what `infra/helm/render.sh` has rendered. The rules at the end compare
it with the overlay `coralogix`, whose pods send to the agent that the chart installs.
"""

import functools
import hashlib
import json
import re
from typing import NamedTuple

import kubernetes_validate
import yaml

VALUES = "infra/helm/otel-integration-values.yaml"
CHART = "infra/helm/chart.sh"
RENDERED = "tests/kubernetes/golden/otel-integration.yaml"

AGENT = "coralogix-opentelemetry-agent"
CLUSTER_COLLECTOR = "coralogix-opentelemetry-collector"
# Dimensions that the views of Coralogix filter and group by.
DIMENSIONS = {
    "http.method", "http.status_code", "http.response.status_code", "service.version", "deployment.environment",
    "k8s.namespace.name", "k8s.deployment.name", "k8s.pod.name", "db.namespace", "db.system", "status_code",
}  # fmt: skip
# Dimensions that the connector adds itself. A second one with the same name stops the collector.
INTRINSIC = {"service.name", "span.name", "span.kind", "status.code"}
# Receivers that each of the chart's presets adds: the collector, the pipeline and the receiver.
RECEIVERS = {
    "hostMetrics": (AGENT, "metrics", "hostmetrics"),
    "kubeletMetrics": (AGENT, "metrics", "kubeletstats"),
    "kubernetesExtraMetrics": (AGENT, "metrics", "prometheus/k8s_extra_metrics"),
    "logsCollection": (AGENT, "logs", "filelog"),
    "spanMetrics": (AGENT, "metrics", "spanmetrics"),
    "spanMetrics.compactMetrics": (AGENT, "metrics/compact", "spanmetrics/compact"),
    "spanMetrics.dbMetrics": (AGENT, "metrics", "spanmetrics/db"),
    "spanMetrics.dbMetrics.compactMetrics": (AGENT, "metrics/db_compact", "spanmetrics/db_compact"),
    "clusterMetrics": (CLUSTER_COLLECTOR, "metrics", "k8s_cluster"),
    "kubernetesEvents": (CLUSTER_COLLECTOR, "logs", "k8sobjects"),
    "kubernetesResources": (CLUSTER_COLLECTOR, "logs/resource_catalog", "k8sobjects/resource_catalog"),
}
# Older names of attributes, with the newer names that they are copied from.
COPIED = {
    "http.method": "http.request.method",
    "http.status_code": "http.response.status_code",
    "deployment.environment": "deployment.environment.name",
    "db.system": "db.system.name",
    "db.namespace": "db.collection.name",
}
# Versions of Kubernetes whose schemas the manifests must match.
KUBERNETES = ("1.33", "1.35", "1.37")
SIGNALS = ("traces", "metrics", "logs")
# The agent's ports, by the name of the protocol in the collector's configuration.
PORTS = {"grpc": 4317, "http": 4318}
# The values of OTEL_EXPORTER_OTLP_PROTOCOL.
PROTOCOLS = {4317: "grpc", 4318: "http/protobuf"}
# `${env:NAME}` and `${NAME}`.
VARIABLE = re.compile(r"\$\{(?:env:)?([A-Z0-9_]+)[:}]")
# A statement that copies an attribute to another name.
COPY = re.compile(r'set\(\w+\.attributes\["([^"]*)"\], \w+\.attributes\["([^"]*)"\]\)')
# Sections that may define the components of each list in a pipeline.
DEFINED_IN = {"receivers": ("receivers", "connectors"), "processors": ("processors",), "exporters": ("exporters", "connectors")}


@functools.lru_cache
def parsed(text):
    """Returns the YAML documents in a text. The callers do not change them."""
    return [document for document in yaml.safe_load_all(text) if document]


class Files(NamedTuple):
    """The texts of the files, and the manifests of the overlay `coralogix`, which `kubectl kustomize` builds."""

    values: str
    chart: str
    rendered: str
    overlay: list

    def head(self, name):
        """Returns what the comment at the top of the rendered chart says about `name`."""
        found = re.search(rf"^# {name}: (.*)$", self.rendered.split("---\n", 1)[0], re.MULTILINE)
        return found.group(1) if found else None

    def body(self):
        start = self.rendered.find("---\n")
        return self.rendered[start:]

    def script(self, name):
        """Returns a variable of infra/helm/chart.sh."""
        found = re.search(rf"^{name}=(.*)$", self.chart, re.MULTILINE)
        return found.group(1) if found else None

    def manifests(self, kind=None):
        """Returns the rendered manifests."""
        return [manifest for manifest in parsed(self.body()) if kind in (None, manifest["kind"])]

    def collector(self, name):
        """Returns the configuration of a collector, which is YAML inside of a ConfigMap."""
        (found,) = [manifest for manifest in self.manifests("ConfigMap") if manifest["metadata"]["name"] == name]
        return parsed(found["data"]["relay"])[0]

    def agent(self):
        """Returns the pods of the agent."""
        (found,) = self.manifests("DaemonSet")
        return found["spec"]["template"]["spec"]


def read(root, overlay):
    """Reads the files of a folder."""
    return Files(*((root / file).read_text() for file in (VALUES, CHART, RENDERED)), overlay)


def digest(text):
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


RENDER_AGAIN = "run infra/helm/render.sh"


def rendered_from_the_values(files):
    """The rendered chart belongs to the values."""
    return [] if files.head("values") == digest(files.values) else [f"{VALUES} has changed since the chart was rendered: {RENDER_AGAIN}"]


def rendered_chart_is_unmodified(files):
    """The rendered chart was not edited."""
    return [] if files.head("body") == digest(files.body()) else [f"{RENDERED} was modified: {RENDER_AGAIN}"]


def rendered_version_is_installed(files):
    """The script installs the version of the chart that was rendered, and the values name it."""
    wanted = f"{files.script('CHART')} {files.script('CHART_VERSION')}"
    complaints = [] if files.head("chart") == wanted else [f"{CHART} has {wanted}, the rendered chart is {files.head('chart')}"]
    sent = files.collector(AGENT)["exporters"]["coralogix"]["traces"]["headers"]["X-Coralogix-Distribution"]
    if sent != f"helm-{wanted.replace(' ', '/')}":
        complaints.append(f"the rendered chart reports the version {sent}")
    if files.script("CHART_VERSION") not in files.values:
        complaints.append(f"{VALUES} does not name the version {files.script('CHART_VERSION')}")
    return complaints


def manifests_match_the_schemas(files):
    """Every rendered manifest matches the schemas of three versions of Kubernetes, without unknown fields."""
    complaints = []
    for version in KUBERNETES:
        for manifest in files.manifests():
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                complaints.append(f"{manifest['kind']} {manifest['metadata']['name']}, Kubernetes {version}: {error.message}")
    return complaints


def pipelines_are_complete(files):
    """Every component in a pipeline is defined."""
    complaints = []
    for name in (AGENT, CLUSTER_COLLECTOR):
        collector = files.collector(name)
        for pipeline, parts in collector["service"]["pipelines"].items():
            for part, sections in DEFINED_IN.items():
                defined = {component for section in sections for component in collector.get(section) or {}}
                complaints += [f"{name}: {pipeline} names the undefined {component}" for component in parts[part] or [] if component not in defined]
    return complaints


def presets_are_in_the_pipelines(files):
    """The receivers of the presets are in pipelines that end at Coralogix."""
    complaints = []
    for preset, (name, pipeline, receiver) in RECEIVERS.items():
        found = files.collector(name)["service"]["pipelines"].get(pipeline, {})
        exporters = found.get("exporters") or []
        if receiver not in (found.get("receivers") or []) or not any(exporter.startswith("coralogix") for exporter in exporters):
            complaints.append(f"{preset}: {name} does not send {receiver} in {pipeline} to Coralogix")
    return complaints


def telemetry_of_pods_has_their_names(files):
    """Spans, metrics and logs pass through `k8sattributes`, which reads the names of pod, deployment, namespace and node."""
    collector = files.collector(AGENT)
    found = set(collector["processors"].get("k8sattributes", {}).get("extract", {}).get("metadata", []))
    wanted = {"k8s.pod.name", "k8s.deployment.name", "k8s.namespace.name", "k8s.node.name"}
    complaints = [f"k8sattributes does not add {name}" for name in sorted(wanted - found)]
    pipelines = collector["service"]["pipelines"]
    return complaints + [f"{name} has no k8sattributes" for name in SIGNALS if "k8sattributes" not in pipelines[name]["processors"]]


def span_metrics_have_the_dimensions(files):
    """The span metrics have every dimension once, and the names and the unit that APM reads."""
    connectors = files.collector(AGENT)["connectors"]
    listed = [dimension["name"] for dimension in connectors["spanmetrics"]["dimensions"]]
    complaints = [f"missing dimension {name}" for name in sorted(DIMENSIONS - set(listed))]
    complaints += [f"dimension {name} is listed twice, which stops the collector" for name in sorted({name for name in listed if listed.count(name) > 1})]
    complaints += [f"dimension {name} is one of the connector's own, which stops the collector" for name in sorted(INTRINSIC & set(listed))]
    namespaces = {"spanmetrics": "", "spanmetrics/compact": "compact", "spanmetrics/db": "db", "spanmetrics/db_compact": "db_compact"}
    for name, namespace in namespaces.items():
        found = (connectors[name]["namespace"], connectors[name]["histogram"]["unit"])
        if found != (namespace, "ms"):
            complaints.append(f"{name}: expected the namespace {namespace!r} in ms, found {found}")
    return complaints


def statements(collector, pipeline):
    """Returns the statements for spans in a pipeline, in their order."""
    for name in collector["service"]["pipelines"][pipeline]["processors"]:
        for group in collector["processors"][name].get("trace_statements", []) if name.startswith("transform") else []:
            yield from group["statements"]


def older_names_precede_the_span_metrics(files):
    """The older names of attributes, which the dimensions read, are set before the span metrics."""
    collector = files.collector(AGENT)
    parts = collector["service"]["pipelines"]["traces"]
    complaints = [] if {"otlp"} <= set(parts["receivers"]) and "spanmetrics" in parts["exporters"] else ["spans of otlp do not reach the span metrics"]
    matches = [COPY.match(statement) for statement in statements(collector, "traces")]
    pairs = {match.groups() for match in matches if match}
    return complaints + [f"{old} is not copied from {new}" for old, new in COPIED.items() if (old, new) not in pairs]


def deltas_become_cumulative(files):
    """Metrics of pods pass through `deltatocumulative`, because Baton's are deltas."""
    parts = files.collector(AGENT)["service"]["pipelines"]["metrics"]
    return [] if "otlp" in parts["receivers"] and "deltatocumulative" in parts["processors"] else ["deltas reach Coralogix, which does not add them up"]


def application_is_the_one_of_the_services(files):
    """Coralogix' names of application and subsystem come first from the attributes that Baton sets."""
    exporter = files.collector(AGENT)["exporters"]["coralogix"]
    return [
        f"{part}_name_attributes: expected cx.{part}.name first, found {exporter[f'{part}_name_attributes']}"
        for part in ("application", "subsystem")
        if exporter[f"{part}_name_attributes"][0] != f"cx.{part}.name"
    ]


def domain_has_no_prefix(files):
    """The domain has no `ingress.`, which the chart and the exporter add."""
    return [f"{name}: the rendered chart contains ingress.ingress." for name in (AGENT, CLUSTER_COLLECTOR) if "ingress.ingress." in json.dumps(files.collector(name))] + [
        f"{name}: {exporter} has the domain {settings['domain']}"
        for name in (AGENT, CLUSTER_COLLECTOR)
        for exporter, settings in files.collector(name)["exporters"].items()
        if exporter.startswith("coralogix") and settings["domain"].startswith("ingress.")
    ]


def containers(files):
    """Yields each rendered container with the name of its manifest."""
    for manifest in files.manifests("DaemonSet") + files.manifests("Deployment"):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            yield manifest["metadata"]["name"], container


def key_comes_from_the_secret(files):
    """Both collectors read the key from the secret that the script looks for, in the release's namespace."""
    wanted = {"name": files.script("SECRET"), "key": files.script("SECRET_KEY")}
    complaints = []
    for name, container in containers(files):
        variables = {variable["name"]: variable.get("valueFrom", {}).get("secretKeyRef") for variable in container["env"]}
        used = {match for settings in files.collector(name)["exporters"].values() for match in VARIABLE.findall((settings or {}).get("private_key", ""))}
        complaints += [f"{name}: {variable} is {variables.get(variable)}, expected {wanted}" for variable in used or {"no key"} if variables.get(variable) != wanted]
    namespaces = {manifest["metadata"].get("namespace") for manifest in files.manifests() if "namespace" in manifest["metadata"]}
    if namespaces != {files.script("NAMESPACE")}:
        complaints.append(f"the chart was rendered for {namespaces}, the script installs it in {files.script('NAMESPACE')}")
    return complaints


def opened_ports(files):
    """Returns the ports of the node that the agent listens on for OTLP, by protocol."""
    pod = files.agent()
    listed = {port["hostPort"] for container in pod["containers"] for port in container["ports"] if "hostPort" in port}
    protocols = files.collector(AGENT)["receivers"]["otlp"]["protocols"]
    ports = {name: int(settings["endpoint"].rsplit(":", 1)[1]) for name, settings in protocols.items()}
    return {name: port for name, port in ports.items() if port in listed and pod.get("hostNetwork")}


def agent_listens_on_the_node(files):
    """The agent listens for OTLP on ports of its node, and on no other port of the presets that are not used."""
    complaints = [] if opened_ports(files) == PORTS else [f"OTLP on the ports {opened_ports(files)} of the node, expected {PORTS}"]
    listed = {port["hostPort"] for container in files.agent()["containers"] for port in container["ports"] if "hostPort" in port}
    return complaints + [f"port {port} of the node is used" for port in sorted(listed - set(PORTS.values()))]


# ---- the overlay ---------------------------------------------------------------------------------


def environment(files):
    """Yields the name of each pod in the overlay that sends telemetry, with its variables by name. Values are texts or
    references."""
    maps = {manifest["metadata"]["name"]: manifest.get("data", {}) for manifest in files.overlay if manifest["kind"] == "ConfigMap"}
    for manifest in files.overlay:
        spec = manifest.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec).get("template", {}).get("spec", {})
        for container in spec.get("containers", []):
            variables = {}
            for source in container.get("envFrom", []):
                variables |= maps.get(source.get("configMapRef", {}).get("name"), {})
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {})
                key = reference.get("configMapKeyRef")
                variables[variable["name"]] = maps.get(key["name"], {}).get(key["key"]) if key else variable.get("value", reference)
            if "OTEL_EXPORTER_OTLP_ENDPOINT" in variables:
                yield manifest["metadata"]["name"], variables, [variable["name"] for variable in container.get("env", [])]


def pods_send_to_the_agent_of_their_node(files):
    """The overlay's pods send to a port that the agent opens on their node, with the port's protocol."""
    found = list(environment(files))
    complaints = [] if any(name == "onboarding-api" for name, _, _ in found) else ["onboarding-api has no OTEL_EXPORTER_OTLP_ENDPOINT"]
    for name, variables, order in found:
        endpoint = variables["OTEL_EXPORTER_OTLP_ENDPOINT"]
        match = re.fullmatch(r"http://\$\((\w+)\):(\d+)", str(endpoint))
        if not match:
            complaints.append(f"{name}: expected http://$(NODE_IP):PORT, found {endpoint}")
            continue
        host, port = match.group(1), int(match.group(2))
        address = variables.get(host)
        if not isinstance(address, dict) or address.get("fieldRef", {}).get("fieldPath") != "status.hostIP":
            complaints.append(f"{name}: {host} is {address}, expected status.hostIP")
        # Kubernetes replaces $(NAME) only in `env`, with variables that are defined before.
        elif "OTEL_EXPORTER_OTLP_ENDPOINT" not in order or order.index(host) > order.index("OTEL_EXPORTER_OTLP_ENDPOINT"):
            complaints.append(f"{name}: {host} must precede OTEL_EXPORTER_OTLP_ENDPOINT in `env`")
        if port not in opened_ports(files).values():
            complaints.append(f"{name}: the agent does not listen on port {port} of the node")
        protocol = variables.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        if protocol != PROTOCOLS.get(port):
            complaints.append(f"{name}: port {port} does not expect {protocol}")
    return complaints


def policies_allow_the_agent(files):
    """Network policies let the pods reach the agent, which has the address of its node and not that of a pod."""
    egress = [rule for manifest in files.overlay if manifest["kind"] == "NetworkPolicy" for rule in manifest["spec"].get("egress", [])]
    if not any(manifest["kind"] == "NetworkPolicy" and "Egress" in manifest["spec"].get("policyTypes", []) for manifest in files.overlay):
        return []

    def allows(rule, port):
        ports = rule.get("ports")
        to = rule.get("to")
        return (not ports or port in [entry.get("port") for entry in ports]) and (not to or any("ipBlock" in peer for peer in to))

    used = {int(str(variables["OTEL_EXPORTER_OTLP_ENDPOINT"]).rsplit(":", 1)[1]) for _, variables, _ in environment(files)}
    return [
        f"no policy allows port {port} of the nodes: selectors of pods and namespaces do not match a pod with hostNetwork, an ipBlock does"
        for port in sorted(used)
        if not any(allows(rule, port) for rule in egress)
    ]


def log_lines_arrive_once(files):
    """The overlay's pods do not export logs over OTLP while the agent reads the same lines from their standard output."""
    if "filelog" not in files.collector(AGENT)["service"]["pipelines"]["logs"]["receivers"]:
        return []
    return [f"{name}: OTEL_LOGS_EXPORTER=otlp sends each line twice" for name, variables, _ in environment(files) if variables.get("OTEL_LOGS_EXPORTER") == "otlp"]


def compact_span_metrics_have_the_application(files):
    """The compact span metrics, which lose their attributes, have the application of the overlay's pods."""
    default = files.collector(AGENT)["exporters"]["coralogix"]["application_name"]
    applications = {name: variables["CX_APPLICATION_NAME"] for name, variables, _ in environment(files) if "CX_APPLICATION_NAME" in variables}
    complaints = [] if applications else ["no pod has CX_APPLICATION_NAME"]
    return complaints + [f"{name}: CX_APPLICATION_NAME is {found}, global.defaultApplicationName {default}" for name, found in applications.items() if found != default]


RULES = [
    rendered_from_the_values,
    rendered_chart_is_unmodified,
    rendered_version_is_installed,
    manifests_match_the_schemas,
    pipelines_are_complete,
    presets_are_in_the_pipelines,
    telemetry_of_pods_has_their_names,
    span_metrics_have_the_dimensions,
    older_names_precede_the_span_metrics,
    deltas_become_cumulative,
    application_is_the_one_of_the_services,
    domain_has_no_prefix,
    key_comes_from_the_secret,
    agent_listens_on_the_node,
]
OVERLAY_RULES = [pods_send_to_the_agent_of_their_node, policies_allow_the_agent, log_lines_arrive_once, compact_span_metrics_have_the_application]


class Mistake(NamedTuple):
    """A text in one of the files, its replacement, and the rule that must detect it."""

    detected_by: callable
    file: str
    text: str
    replacement: str

    def made_in(self, files):
        """Returns a copy of the files with the mistake."""
        if self.file == "overlay":
            manifests = json.dumps(files.overlay)
            assert self.text in manifests, f"the overlay does not contain {self.text}"
            return files._replace(overlay=json.loads(manifests.replace(self.text, self.replacement)))
        text = getattr(files, self.file)
        assert self.text in text, f"{self.file} does not contain {self.text}"
        return files._replace(**{self.file: text.replace(self.text, self.replacement)})

    def __str__(self):
        return f"{self.replacement.strip()!r} in place of {self.text.strip()!r}"


MISTAKES = [
    Mistake(rendered_from_the_values, "values", "deploymentEnvironmentName: production", "deploymentEnvironmentName: staging"),
    Mistake(rendered_chart_is_unmodified, "rendered", "max_recv_msg_size_mib: 20", "max_recv_msg_size_mib: 21"),
    Mistake(rendered_version_is_installed, "chart", "CHART_VERSION=0.0.331", "CHART_VERSION=0.0.332"),
    Mistake(rendered_version_is_installed, "values", "0.0.331", "0.0.330"),
    Mistake(manifests_match_the_schemas, "rendered", "imagePullPolicy: IfNotPresent", "pullPolicy: IfNotPresent"),
    Mistake(pipelines_are_complete, "rendered", "\n      k8s_cluster:\n", "\n      k8s_clusters:\n"),
    *(Mistake(presets_are_in_the_pipelines, "rendered", f"          - {name}\n", "") for name in ("hostmetrics", "kubeletstats", "k8s_cluster", "spanmetrics/compact")),
    Mistake(telemetry_of_pods_has_their_names, "rendered", "          - k8s.pod.name\n", ""),
    Mistake(telemetry_of_pods_has_their_names, "rendered", "          - k8sattributes\n", ""),
    Mistake(span_metrics_have_the_dimensions, "rendered", "- name: k8s.deployment.name", "- name: team"),
    # What the chart would render for `extraDimensions` with service.version in it.
    Mistake(span_metrics_have_the_dimensions, "rendered", "- name: error.type", "- name: service.version"),
    Mistake(span_metrics_have_the_dimensions, "rendered", "- name: error.type", "- name: span.name"),
    Mistake(span_metrics_have_the_dimensions, "rendered", 'namespace: ""', "namespace: traces.span.metrics"),
    Mistake(older_names_precede_the_span_metrics, "rendered", 'set(span.attributes["http.status_code"]', 'set(span.attributes["status"]'),
    Mistake(older_names_precede_the_span_metrics, "rendered", "          - transform/semconv\n", ""),
    Mistake(deltas_become_cumulative, "rendered", "          - deltatocumulative\n", ""),
    Mistake(application_is_the_one_of_the_services, "rendered", "        - cx.application.name\n", ""),
    Mistake(domain_has_no_prefix, "rendered", "https://ingress.eu2", "https://ingress.ingress.eu2"),
    Mistake(domain_has_no_prefix, "rendered", "domain: eu2", "domain: ingress.eu2"),
    Mistake(key_comes_from_the_secret, "chart", "SECRET=coralogix-keys", "SECRET=coralogix-key"),
    Mistake(key_comes_from_the_secret, "rendered", "key: PRIVATE_KEY", "key: KEY"),
    Mistake(key_comes_from_the_secret, "chart", "NAMESPACE=observability", "NAMESPACE=monitoring"),
    Mistake(agent_listens_on_the_node, "rendered", "hostNetwork: true", "hostNetwork: false"),
    Mistake(agent_listens_on_the_node, "rendered", "endpoint: ${env:MY_POD_IP}:4318", "endpoint: ${env:MY_POD_IP}:4319"),
    Mistake(agent_listens_on_the_node, "rendered", "hostPort: 4317", "hostPort: 9411"),
]
OVERLAY_MISTAKES = [
    Mistake(pods_send_to_the_agent_of_their_node, "overlay", "http://$(NODE_IP):4318", "http://$(NODE_IP):4319"),
    Mistake(pods_send_to_the_agent_of_their_node, "overlay", "http://$(NODE_IP):4318", "http://coralogix-opentelemetry-collector:4318"),
    Mistake(pods_send_to_the_agent_of_their_node, "overlay", "http://$(NODE_IP):4318", "http://$(NODE_IP):4317"),
    Mistake(pods_send_to_the_agent_of_their_node, "overlay", "status.hostIP", "status.podIP"),
    Mistake(policies_allow_the_agent, "overlay", '"ipBlock"', '"podSelector"'),
    Mistake(compact_span_metrics_have_the_application, "overlay", '"CX_APPLICATION_NAME": "onboarding"', '"CX_APPLICATION_NAME": "shop"'),
    Mistake(log_lines_arrive_once, "overlay", '"name": "NODE_IP"', '"name": "OTEL_LOGS_EXPORTER", "value": "otlp"}, {"name": "NODE_IP"'),
]


def undetected(mistake, files):
    """Returns a complaint if the expected rule does not detect the mistake."""
    return [] if mistake.detected_by(mistake.made_in(files)) else [f"{mistake.detected_by.__name__} did not detect it"]


def results(root, overlay):
    """Yields the title of each check and its complaints. `overlay` are the manifests of the overlay `coralogix`."""
    files = read(root, overlay)
    rules, mistakes = RULES + OVERLAY_RULES, MISTAKES + OVERLAY_MISTAKES
    for rule in rules:
        yield f"Coralogix' chart: {rule.__doc__.splitlines()[0]}", rule(files)
    for mistake in mistakes:
        yield f"Coralogix' chart: detects {mistake}", undetected(mistake, files)
    unproven = {rule.__name__ for rule in rules} - {mistake.detected_by.__name__ for mistake in mistakes}
    yield "Coralogix' chart: every check can fail", [f"no mistake for {name}" for name in sorted(unproven)]
