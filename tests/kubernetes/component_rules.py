"""Rules for what single components promise: availability, identity, retention, Grafana's ConfigMaps, profiles. Each returns its complaints."""

import json
import re

import yaml
from manifest_rules import size
from overlay import variables
from reference_rules import ROOT, is_served

# Overlays for one node, where a single pod is enough.
SMALL = {"k3s", "local"}
# Overlays for EKS.
AWS = {"coralogix", "grafana", "components"}
SPREAD_OVER = {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
# Seven days.
RETENTION = "168h"
# Limit of the API server for the data of a ConfigMap.
CONFIG_MAP_BYTES = 1024 * 1024
# The labels that the sidecars of Grafana's chart look for, and a text in the files that each takes.
SIDECARS = {"grafana_datasource": "datasources:", "grafana_dashboard": '"panels"', "grafana_alert": "groups:"}
# Paths that the kubelet requests.
PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
# Data sources of other software, with the reason.
EXTERNAL_SOURCES = {"http://loki.monitoring:3100": "the Service of the chart loki"}


def availability(overlay):
    """The API stays available during an update, an eviction and the failure of a zone: it is replaced pod by pod, spread, and has three pods."""
    if overlay.name == "local":
        return []
    workload = overlay.workload("onboarding-api")
    rolling = workload.manifest["spec"]["strategy"].get("rollingUpdate", {})
    complaints = [] if rolling.get("maxUnavailable") == 0 and rolling.get("maxSurge") else ["an update stops pods before it starts others"]
    spread = {constraint["topologyKey"] for constraint in workload.pod.get("topologySpreadConstraints", [])}
    complaints += [] if spread == SPREAD_OVER else [f"the pods are spread over {sorted(spread)}"]
    complaints += [] if workload.manifest["spec"].get("revisionHistoryLimit", 0) >= 2 else ["there is no revision to roll back to"]
    autoscaler = overlay.find("HorizontalPodAutoscaler", "onboarding-api", "onboarding")
    if autoscaler["spec"]["minReplicas"] < (1 if overlay.name in SMALL else 3):
        complaints.append(f"the API has at least {autoscaler['spec']['minReplicas']} pods")
    budget = overlay.find("PodDisruptionBudget", "onboarding-api", "onboarding")
    complaints += [] if budget and budget["spec"].get("maxUnavailable") == 1 else ["no budget limits evictions to one pod"]
    return complaints


def paths(overlay):
    """Probes and the ingress use paths that the API has, and the ingress does not publish the probes."""
    served = set(re.findall(r'"(/[a-z/.]+)"', (ROOT / "services/onboarding-api/src/routes.rs").read_text()))
    (container,) = overlay.workload("onboarding-api").pod["containers"]
    found = {probe: container[probe]["httpGet"]["path"] for probe in PROBES if probe in container}
    complaints = [] if found == PROBES else [f"the paths of the probes are {found}"]
    published = {path["path"] for manifest in overlay.of_kind("Ingress") for rule in manifest["spec"]["rules"] for path in rule["http"]["paths"]}
    complaints += [f"the API does not serve {path}" for path in sorted((published | set(found.values())) - served)]
    return complaints + [f"the ingress publishes {path}" for path in sorted(published & {"/", *PROBES.values()})]


def load_is_off(overlay):
    """Load starts only on demand: the CronJob is suspended, the server has no pods and a token, and DEMO_MODE has an effect."""
    complaints = [] if overlay.workload("load").manifest["spec"].get("suspend") is True else ["the CronJob runs"]
    server = overlay.workload("load-server")
    complaints += [] if server.manifest["spec"]["replicas"] == 0 else ["the server for load runs"]
    for workload in (overlay.workload("load"), server):
        (container,) = workload.pod["containers"]
        names = variables(overlay, workload, container)
        complaints += [f"{workload}: BATON_LOAD_PROFILE takes precedence over DEMO_MODE"] if "BATON_LOAD_PROFILE" in names else []
    token = names.get("BATON_LOAD_TOKEN")
    return complaints if token == {"secretKeyRef": {"name": "load-server", "key": "TOKEN"}} else [*complaints, f"the token is {token}"]


def ingress_controller(overlay):
    """The network policies of the API and of cert-manager's solver let in the ingress controller, in the namespace of the overlay."""
    if not overlay.of_kind("Ingress"):
        return []
    # k3s installs Traefik itself.
    wanted = "kube-system" if overlay.name == "k3s" else "traefik"
    complaints = []
    for name in ("onboarding-api", "certificate-challenge"):
        policy = overlay.find("NetworkPolicy", name, "onboarding")
        peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]] if policy else []
        found = [peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") for peer in peers]
        complaints += [] if found == [wanted] else [f"the policy {name} lets in the namespaces {found}, expected {wanted}"]
    return complaints


def queues(overlay):
    """The volume of a gateway holds the queues of its exporters, and a copy of each."""
    if not any(workload.manifest["metadata"]["name"] == "collector-gateway" for workload in overlay.workloads()):
        return []
    workload = overlay.workload("collector-gateway")
    (container,) = workload.pod["containers"]
    exporters = sum("/backend-" in argument for argument in container["args"])
    names = variables(overlay, workload, container)
    (claim,) = workload.manifest["spec"]["volumeClaimTemplates"]
    granted, needed = size(claim["spec"]["resources"]["requests"]["storage"]), 2 * exporters * int(names["QUEUE_BYTES"])
    complaints = [] if granted >= needed else [f"the volume has {granted} bytes, the queues of {exporters} exporters need {needed}"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == claim["metadata"]["name"]}
    return complaints if names.get("QUEUE_DIRECTORY") in mounted else [*complaints, "the queues are not on the volume"]


def identity(overlay):
    """On EKS, the API has the role of its ServiceAccount and no keys; elsewhere, it has no role."""
    account = overlay.find("ServiceAccount", "onboarding-api", "onboarding")
    role = account["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn", "")
    if overlay.name not in AWS:
        return [f"the ServiceAccount has the role {role}"] if role else []
    workload = overlay.workload("onboarding-api")
    keys = [name for container in workload.all_containers() for name in variables(overlay, workload, container) if name.startswith("AWS_ACCESS_KEY")]
    complaints = [] if re.fullmatch(r"arn:aws:iam::\d{12}:role/[\w+=,.@-]+", role) else [f"the ServiceAccount has the role {role!r}"]
    return complaints + [f"the API has the variable {name}" for name in keys]


def tempo(overlay):
    """Tempo keeps traces for seven days, on its volume, and writes its metrics to a Service."""
    names = [workload.manifest["metadata"]["name"] for workload in overlay.workloads()]
    if "tempo" not in names:
        return []
    workload = overlay.workload("tempo")
    (container,) = workload.pod["containers"]
    (volume,) = [volume for volume in workload.pod["volumes"] if volume["name"] == "configuration"]
    configuration = yaml.safe_load(overlay.find("ConfigMap", volume["configMap"]["name"], workload.namespace)["data"]["tempo.yaml"])
    kept = {
        configuration["backend_scheduler"]["provider"]["compaction"]["compaction"]["block_retention"],
        configuration["backend_worker"]["compaction"]["block_retention"],
    }
    complaints = [] if kept == {RETENTION} else [f"traces are kept for {sorted(kept)}"]
    folders = {configuration["storage"]["trace"][part]["path"] for part in ("wal", "local")} | {configuration["metrics_generator"]["storage"]["path"]}
    data = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    complaints += [f"{folder} is not on a volume" for folder in sorted(folders) if not any(folder.startswith(f"{path}/") for path in data)]
    ports = {port["containerPort"] for port in container["ports"]}
    complaints += [] if configuration["server"]["http_listen_port"] in ports else ["the container has not the port of the server"]
    # The overlay local has no Prometheus, which its first comment says.
    addresses = [] if overlay.name == "local" else [target["url"] for target in configuration["metrics_generator"]["storage"]["remote_write"]]
    return complaints + [f"Tempo writes to {address}" for address in addresses if not is_served(overlay, workload, address)]


def grafana(overlay):
    """The ConfigMaps for Grafana have the labels of its sidecars, fit into the API server, and name data sources that exist."""
    complaints = []
    for manifest in overlay.of_kind("ConfigMap"):
        name, data = manifest["metadata"]["name"], manifest.get("data", {})
        size = sum(len(text.encode()) for text in data.values())
        complaints += [f"ConfigMap {name} has {size} bytes"] if size > CONFIG_MAP_BYTES else []
        if manifest["metadata"]["namespace"] != "monitoring":
            continue
        wanted = [text for label, text in SIDECARS.items() if manifest["metadata"].get("labels", {}).get(label) == "1"]
        if len(wanted) != 1 or not all(wanted[0] in text for text in data.values()):
            complaints.append(f"ConfigMap {name} has not the label of a sidecar for its files")
        for file, text in data.items():
            complaints += [f"{name}/{file}: the data source {uid}" for uid in sorted(uids(file, text) - UIDS)]
            for address in re.findall(r"^ +url: (http://\S+)$", text, flags=re.MULTILINE):
                known = address in EXTERNAL_SOURCES or is_served(overlay, overlay.workload("tempo"), address)
                complaints += [] if known else [f"{name}: the data source {address}"]
    return complaints


# The data sources of data-sources.yaml, the one of kube-prometheus-stack, and Grafana's own.
UIDS = {"tempo", "loki", "prometheus", "__expr__", "-- Grafana --"}


def uids(file, text):
    """Returns the ids of the data sources that a file for Grafana uses."""
    if file.endswith(".json"):
        return set(found(json.loads(text)))
    return set(re.findall(r"datasourceUid: ([^\s,}]+)", text))


def found(document):
    """Yields the id of each data source in a dashboard."""
    if isinstance(document, dict):
        source = document.get("datasource")
        if isinstance(source, dict) and not str(source.get("uid", "$")).startswith("$"):
            yield source["uid"]
        document = list(document.values())
    if isinstance(document, list):
        for value in document:
            yield from found(value)


def profiles(overlay):
    """Profiles are served on the pod's loopback interface only, and the profiler has a folder for its file."""
    workload = overlay.workload("onboarding-api")
    (container,) = workload.pod["containers"]
    names = variables(overlay, workload, container)
    address = names.get("PROFILING_ADDR")
    if address is None:
        return ["the component profiling has no effect"] if overlay.name == "components" else []
    complaints = [] if re.fullmatch(r"(127\.0\.0\.1:)?\d+", address) else [f"profiles are served on {address}"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])}
    folders = {volume["name"] for volume in workload.pod.get("volumes", []) if "sizeLimit" in volume.get("emptyDir", {})}
    return complaints if mounts.get(names.get("TMPDIR")) in folders else [*complaints, f"TMPDIR is {names.get('TMPDIR')}, which is not a volume with a limit"]


def pod_monitors(overlay):
    """The Prometheus Operator scrapes ports of pods that exist, and a network policy lets Prometheus reach them."""
    complaints = []
    allowed = {
        port["port"]
        for policy in overlay.of_kind("NetworkPolicy")
        if policy["metadata"]["namespace"] == "observability" and policy["metadata"]["name"] == "metrics"
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    }
    for monitor in overlay.of_kind("PodMonitor"):
        labels = monitor["spec"]["selector"]["matchLabels"]
        selected = [workload for workload in overlay.workloads() if workload.namespace == monitor["metadata"]["namespace"] and labels.items() <= workload.labels.items()]
        name = monitor["metadata"]["name"]
        complaints += [] if selected else [f"PodMonitor {name} selects no pods"]
        for workload in selected:
            ports = [workload.ports().get(endpoint["port"]) for endpoint in monitor["spec"]["podMetricsEndpoints"]]
            complaints += [f"PodMonitor {name}: {workload}: Prometheus cannot reach port {port}" for port in ports if port not in allowed]
    return complaints


RULES = [availability, paths, load_is_off, ingress_controller, queues, identity, tempo, grafana, profiles, pod_monitors]

ROLE = '{"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/onboarding-api"}'

# A text in the manifests of an overlay, its replacement, and the rule that must report it.
MISTAKES = [
    (availability, "grafana", '"maxUnavailable": 0', '"maxUnavailable": 1'),
    (availability, "grafana", '"topologyKey": "topology.kubernetes.io/zone"', '"topologyKey": "zone"'),
    (availability, "coralogix", '"minReplicas": 3', '"minReplicas": 1'),
    (availability, "k3s", '"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": "onboarding-api"}}', '"minAvailable": 1'),
    (availability, "grafana", '"revisionHistoryLimit": 5', '"revisionHistoryLimit": 0'),
    (paths, "grafana", '"path": "/readyz"', '"path": "/healthz"'),
    (paths, "grafana", '"path": "/telemetry/smoke"', '"path": "/smoke"'),
    (paths, "coralogix", '"path": "/openapi.json"', '"path": "/readyz"'),
    (load_is_off, "grafana", '"suspend": true', '"suspend": false'),
    (load_is_off, "coralogix", '"replicas": 0', '"replicas": 1'),
    (load_is_off, "local", '"BATON_LOAD_RATE"', '"BATON_LOAD_PROFILE"'),
    (load_is_off, "k3s", '"key": "TOKEN"', '"key": "token"'),
    (ingress_controller, "k3s", '"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]', '"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}]'),
    (ingress_controller, "grafana", '"name": "certificate-challenge"', '"name": "challenge"'),
    (queues, "grafana", '"value": "1000000000"', '"value": "2000000000"'),
    (queues, "grafana", '"mountPath": "/var/lib/otelcol"', '"mountPath": "/var/lib/queue"'),
    (identity, "coralogix", "eks.amazonaws.com/role-arn", "iam.amazonaws.com/role"),
    (identity, "grafana", '"AWS_REGION"', '"AWS_ACCESS_KEY_ID"'),
    (identity, "k3s", '"kind": "ServiceAccount", "metadata": {"name": "onboarding-api"', f'"kind": "ServiceAccount", "metadata": {{"annotations": {ROLE}, "name": "onboarding-api"'),
    (tempo, "grafana", "block_retention: 168h", "block_retention: 24h"),
    (tempo, "local", "path: /var/tempo/blocks", "path: /tmp/blocks"),
    (tempo, "grafana", "url: http://prometheus:9090", "url: http://mimir:9090"),
    (tempo, "grafana", "http_listen_port: 3200", "http_listen_port: 80"),
    (grafana, "grafana", '"grafana_datasource": "1"', '"grafana_datasource": "true"'),
    (grafana, "grafana", '"grafana_alert": "1"', '"grafana_dashboard": "1"'),
    (grafana, "grafana", "url: http://tempo.observability:3200", "url: http://tempo.observability:3201"),
    (grafana, "grafana", '\\"uid\\": \\"tempo\\"', '\\"uid\\": \\"jaeger\\"'),
    (grafana, "grafana", '"data": {"agent.yaml"', f'"data": {{"large.yaml": "{"x" * CONFIG_MAP_BYTES}", "agent.yaml"'),
    (profiles, "components", '"value": "127.0.0.1:6060"', '"value": "0.0.0.0:6060"'),
    (profiles, "components", '"mountPath": "/tmp"', '"mountPath": "/scratch"'),
    (profiles, "components", '"PROFILING_ADDR"', '"PROFILING_ADDRESS"'),
    (pod_monitors, "components", '"app.kubernetes.io/component": "collector"}}}}', '"app.kubernetes.io/component": "collectors"}}}}'),
    (pod_monitors, "components", '"ports": [{"port": 8888}, {"port": 3200}]', '"ports": [{"port": 3200}]'),
]
