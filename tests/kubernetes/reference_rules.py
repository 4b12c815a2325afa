"""Rules for the names, ports and variables that one object uses and another defines. Each returns its complaints."""

import functools
import re
from pathlib import Path

from manifest_rules import EXTERNAL_NAMESPACES, EXTERNAL_SECRETS
from overlay import variables

ROOT = Path(__file__).resolve().parents[2]
# Where the variables of the programs are documented or defined.
DOCUMENTED = ("services/onboarding-api/src/lib.rs", "telemetry/src/lib.rs", "local/src/cli/load/variables.rs", "local/src/cli/load/serve.rs")
# The options of `baton load`, each of which is a field and has a variable.
LOAD_OPTIONS = "local/src/cli/load/arguments.rs"
LOAD_PREFIX = "BATON_LOAD_"
# Variables that our programs do not read themselves.
OTHER_VARIABLES = {
    "AWS_REGION": "the AWS SDK",
    "AWS_ENDPOINT_URL_SQS": "the AWS SDK",
    "AWS_ACCESS_KEY_ID": "the AWS SDK",
    "AWS_SECRET_ACCESS_KEY": "the AWS SDK",
    "TMPDIR": "the standard library",
    "NODE_IP": "the value of another variable",
}
# Network policies for pods that no manifest contains, with the ports of these pods.
EXTERNAL_PODS = {"certificate-challenge": {8089}}  # The solver of cert-manager.
# The addresses of backends that a collector's configuration contains: `${env:NAME:-default}`.
DEFAULT_ADDRESS = re.compile(r"\$\{env:\w+_ENDPOINT:-(http://[^}]+)\}")
VARIABLE = re.compile(r"\$\{env:(\w+)(:-)?")
ADDRESS = re.compile(r"http://([a-z0-9-]+)(?:\.([a-z0-9-]+))?(?::(\d+))?(?:/|$)")


def mounted(overlay):
    """ConfigMaps, Secrets and ServiceAccounts of pods exist, and each mount has its volume."""
    complaints = []
    for workload in overlay.workloads():
        for kind, name in references(workload):
            known = kind == "Secret" and name in EXTERNAL_SECRETS or overlay.find(kind, name, workload.namespace)
            complaints += [] if known else [f"{workload} uses the {kind} {name}"]
        claims = {claim["metadata"]["name"] for claim in workload.manifest["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in workload.pod.get("volumes", [])} | claims
        mounts = {mount["name"] for container in workload.all_containers() for mount in container.get("volumeMounts", [])}
        complaints += [f"{workload} mounts {sorted(mounts)}, its volumes are {sorted(volumes)}"] if mounts != volumes else []
    return complaints


def references(workload):
    """Yields kind and name of each object that pods use."""
    if "serviceAccountName" in workload.pod:
        yield "ServiceAccount", workload.pod["serviceAccountName"]
    for volume in workload.pod.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
    for container in workload.all_containers():
        for source in container.get("envFrom", []):
            yield ("ConfigMap", source["configMapRef"]["name"]) if "configMapRef" in source else ("Secret", source["secretRef"]["name"])
        for variable in container.get("env", []):
            if "secretKeyRef" in (variable.get("valueFrom") or {}):
                yield "Secret", variable["valueFrom"]["secretKeyRef"]["name"]


def services(overlay):
    """Each Service selects pods, and its ports are ports of these pods. StatefulSets have a Service without an address."""
    complaints = []
    for service in overlay.of_kind("Service"):
        if service["spec"].get("type") == "ExternalName":
            continue
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        selected = selects(overlay, service["spec"]["selector"], namespace)
        complaints += [] if selected else [f"Service {name} selects no pods"]
        for workload in selected:
            complaints += [f"Service {name}: {workload} has no port {port['targetPort']}" for port in service["spec"]["ports"] if port["targetPort"] not in workload.ports()]
    for workload in overlay.workloads():
        if workload.manifest["kind"] == "StatefulSet":
            found = overlay.find("Service", workload.manifest["spec"]["serviceName"], workload.namespace)
            complaints += [] if found and found["spec"].get("clusterIP") == "None" else [f"{workload} has no Service for its pods"]
    return complaints


def selects(overlay, labels, namespace):
    """Returns the workloads in a namespace whose pods have these labels."""
    return [workload for workload in overlay.workloads() if workload.namespace == namespace and labels.items() <= workload.labels.items()]


def matches(selector, workload):
    """Returns true if a selector of Kubernetes matches the workload's pods."""
    if not selector.get("matchLabels", {}).items() <= workload.labels.items():
        return False
    return all(workload.labels.get(expression["key"]) in expression["values"] for expression in selector.get("matchExpressions", []))


def own_selectors(overlay):
    """Workloads select their own pods and no others, and autoscalers, budgets and spread rules select pods that exist."""
    complaints = []
    for workload in overlay.workloads():
        selector = workload.manifest["spec"].get("selector")
        if selector and [str(other) for other in overlay.workloads() if other.namespace == workload.namespace and matches(selector, other)] != [str(workload)]:
            complaints.append(f"{workload} does not select its pods, or selects others")
        for constraint in workload.pod.get("topologySpreadConstraints", []):
            complaints += [] if matches(constraint["labelSelector"], workload) else [f"{workload} spreads other pods"]
    for manifest in overlay.of_kind("PodDisruptionBudget"):
        if not any(matches(manifest["spec"]["selector"], workload) for workload in overlay.workloads()):
            complaints.append(f"PodDisruptionBudget {manifest['metadata']['name']} selects no pods")
    for manifest in overlay.of_kind("HorizontalPodAutoscaler"):
        target = manifest["spec"]["scaleTargetRef"]
        if not overlay.find(target["kind"], target["name"], manifest["metadata"]["namespace"]):
            complaints.append(f"HorizontalPodAutoscaler {manifest['metadata']['name']} scales {target['name']}")
    return complaints


def policies(overlay):
    """Each network policy selects pods, its ports are ports of the receiving pods, and its namespaces exist."""
    complaints = []
    known = {manifest["metadata"]["name"] for manifest in overlay.of_kind("Namespace")} | EXTERNAL_NAMESPACES
    # Coralogix' chart creates it.
    known |= {"observability"}
    for policy in overlay.of_kind("NetworkPolicy"):
        name, spec = policy["metadata"]["name"], policy["spec"]
        selected = [workload for workload in overlay.workloads() if workload.namespace == policy["metadata"]["namespace"] and matches(spec["podSelector"], workload)]
        complaints += [] if selected or name in EXTERNAL_PODS else [f"NetworkPolicy {name} selects no pods"]
        ports = {port for workload in selected for port in workload.ports()} | EXTERNAL_PODS.get(name, set())
        for rule in spec.get("ingress", []):
            complaints += [f"NetworkPolicy {name}: no pod has port {port['port']}" for port in rule["ports"] if port["port"] not in ports]
        for peer in [peer for rule in spec.get("ingress", []) for peer in rule.get("from", [])] + [peer for rule in spec.get("egress", []) for peer in rule.get("to", [])]:
            space = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
            complaints += [f"NetworkPolicy {name} names the namespace {space}"] if space and space not in known else []
            selector = peer.get("podSelector")
            if selector and not space and not any(matches(selector, workload) for workload in overlay.workloads()):
                complaints.append(f"NetworkPolicy {name}: {selector} matches no pods")
    return complaints


def ingress(overlay):
    """The ingress sends to ports of Services that exist, for hosts with a certificate."""
    complaints = []
    for manifest in overlay.of_kind("Ingress"):
        hosts = {host for entry in manifest["spec"]["tls"] for host in entry["hosts"]}
        names = {entry["secretName"] for entry in manifest["spec"]["tls"]}
        complaints += [f"the certificate is in the Secret {name}" for name in sorted(names - set(EXTERNAL_SECRETS))]
        for rule in manifest["spec"]["rules"]:
            complaints += [] if rule["host"] in hosts else [f"no certificate for {rule['host']}"]
            for path in rule["http"]["paths"]:
                target = path["backend"]["service"]
                service = overlay.find("Service", target["name"], manifest["metadata"]["namespace"])
                if not service or target["port"]["name"] not in {port["name"] for port in service["spec"]["ports"]}:
                    complaints.append(f"{path['path']} is sent to port {target['port']['name']} of {target['name']}")
    return complaints


def rights(overlay):
    """The agents may read what agent.yaml reads: pods, namespaces, ReplicaSets and the kubelet's statistics, and nothing else."""
    if not overlay.of_kind("DaemonSet"):
        return []
    (role,) = overlay.of_kind("ClusterRole")
    (binding,) = overlay.of_kind("ClusterRoleBinding")
    found = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    wanted = {(resource, verb) for resource in ("pods", "namespaces", "replicasets") for verb in ("get", "list", "watch")} | {("nodes/stats", "get")}
    complaints = [f"the agents' rights are {sorted(found)}"] if found != wanted else []
    subject = binding["subjects"][0]
    if binding["roleRef"]["name"] != role["metadata"]["name"] or not overlay.find("ServiceAccount", subject["name"], subject["namespace"]):
        complaints.append("the role is not bound to the agents' account")
    return complaints


def collectors(overlay):
    """Collectors read files that are mounted, in a complete combination, and the variables without defaults are set."""
    complaints = []
    for workload in overlay.workloads():
        for container in workload.containers():
            files = [argument.removeprefix("--config=/etc/otelcol/") for argument in container.get("args", []) if argument.startswith("--config=")]
            if not files:
                continue
            texts = overlay.find("ConfigMap", workload.pod["volumes"][0]["configMap"]["name"], workload.namespace)["data"]
            missing = [file for file in files if file not in texts]
            complaints += [f"{workload}: {file} is not in the ConfigMap" for file in missing]
            configuration = "".join(without_comments(texts[file]) for file in files if file in texts)
            set_here = set(variables(overlay, workload, container))
            needed = {name for name, default in VARIABLE.findall(configuration) if not default}
            complaints += [f"{workload}: {name} is not set" for name in sorted(needed - set_here - {"CORALOGIX_PRIVATE_KEY"})]
            if variables(overlay, workload, container).get("OTLP_LISTEN_HOST") != "0.0.0.0":
                complaints.append(f"{workload} listens on loopback")
            complaints += [] if files[0] == "base.yaml" and any(file.startswith("backend-") for file in files) else [f"{workload}: {files} is not a complete configuration"]
    return complaints


def without_comments(text):
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def addresses(overlay):
    """Each address in a variable, an argument or a collector's configuration is that of a Service and one of its ports."""
    complaints = []
    for workload in overlay.workloads():
        for container in workload.all_containers():
            texts = [value for value in variables(overlay, workload, container).values() if isinstance(value, str)] + [
                argument.partition("ENDPOINT=")[2] for argument in container.get("args", [])
            ]
            found = [text for text in texts if text.startswith("http://")] + default_addresses(overlay, workload, container)
            complaints += [f"{workload}: {address} is not the address of a Service" for address in found if not is_served(overlay, workload, address)]
    return complaints


def default_addresses(overlay, workload, container):
    """Returns the addresses that the collector's files contain as defaults of variables which are not set."""
    files = [argument.removeprefix("--config=/etc/otelcol/") for argument in container.get("args", []) if argument.startswith("--config=")]
    if not files:
        return []
    texts = overlay.find("ConfigMap", workload.pod["volumes"][0]["configMap"]["name"], workload.namespace)["data"]
    return [address for file in files for address in DEFAULT_ADDRESS.findall(without_comments(texts.get(file, "")))]


def is_served(overlay, workload, address):
    match = ADDRESS.match(address)
    if "127.0.0.1" in address:
        port = re.search(r":(\d+)", address.removeprefix("http:")).group(1)
        return any(f"={port}" in argument for container in workload.all_containers() for argument in container.get("args", []))
    if "$(NODE_IP)" in address:
        # helm_checks compares it with the agent of Coralogix' chart.
        return overlay.name == "coralogix"
    if not match:
        return False
    name, namespace, port = match.groups()
    service = overlay.find("Service", name, namespace or workload.namespace)
    if not service:
        return False
    is_external = service["spec"].get("type") == "ExternalName"
    return is_external or int(port or 80) in {entry["port"] for entry in service["spec"]["ports"]}


def allowed(overlay):
    """Network policies allow what the addresses need: the load reaches the API, the API the agents, these the gateways, these Tempo."""
    pairs = [("load", "onboarding-api", 8080), ("load-server", "onboarding-api", 8080)]
    names = {workload.manifest["metadata"]["name"] for workload in overlay.workloads()}
    if "collector-agent" in names:
        pairs.append(("onboarding-api", "collector-agent", 4318))
        pairs.append(("collector-agent", "collector-gateway" if "collector-gateway" in names else "tempo", 4318))
    if "collector-gateway" in names:
        pairs.append(("collector-gateway", "tempo", 4318))
    return [
        f"no policy lets {sender} reach port {port} of {receiver}"
        for sender, receiver, port in pairs
        if not may_receive(overlay, overlay.workload(sender), overlay.workload(receiver), port)
        or not may_send(overlay, overlay.workload(sender), overlay.workload(receiver), port)
    ]


def rules_of(overlay, workload, direction):
    """Returns the rules for a workload, or None if no policy restricts it."""
    policies = [
        policy["spec"]
        for policy in overlay.of_kind("NetworkPolicy")
        if policy["metadata"]["namespace"] == workload.namespace and direction.capitalize() in policy["spec"]["policyTypes"] and matches(policy["spec"]["podSelector"], workload)
    ]
    return [rule for policy in policies for rule in policy.get(direction, [])] if policies else None


def may_receive(overlay, sender, receiver, port):
    rules = rules_of(overlay, receiver, "ingress")
    return rules is None or any(peer_matches(rule.get("from"), sender, receiver) and has_port(rule, port) for rule in rules)


def may_send(overlay, sender, receiver, port):
    rules = rules_of(overlay, sender, "egress")
    return rules is None or any(peer_matches(rule.get("to"), receiver, sender) and has_port(rule, port) for rule in rules)


def peer_matches(peers, other, owner):
    if not peers:
        return True
    return any(
        ("namespaceSelector" in peer and peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == other.namespace or "namespaceSelector" not in peer and other.namespace == owner.namespace)
        and matches(peer.get("podSelector", {}), other)
        and "ipBlock" not in peer
        for peer in peers
    )


def has_port(rule, port):
    return "ports" not in rule or port in {entry["port"] for entry in rule["ports"]}


def known_variables(overlay):
    """Each variable of our programs is one that they read."""
    complaints = []
    for workload in overlay.workloads():
        for container in workload.all_containers():
            if container["image"].startswith(("otel/", "grafana/")):
                continue
            unknown = [name for name in variables(overlay, workload, container) if name not in OTHER_VARIABLES and name not in known_names()]
            complaints += [f"{workload}: no program reads {name}" for name in unknown]
    return complaints


@functools.cache
def known_names():
    """Returns the variables that our programs document or define."""
    texts = [(ROOT / path).read_text() for path in DOCUMENTED if (ROOT / path).exists()]
    names = {name for text in texts for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", text)}
    fields = re.findall(r"^    (?:pub\(super\) )?(\w+): ", (ROOT / LOAD_OPTIONS).read_text(), flags=re.MULTILINE)
    return names | {LOAD_PREFIX + field.upper() for field in fields}


RULES = [mounted, services, own_selectors, policies, ingress, rights, collectors, addresses, allowed, known_variables]

# A text in the manifests of an overlay, its replacement, and the rule that must report it.
MISTAKES = [
    (mounted, "grafana", '"serviceAccountName": "onboarding-api"', '"serviceAccountName": "api"'),
    (mounted, "grafana", '"name": "load-server"}}', '"name": "token"}}'),
    (mounted, "grafana", '"mountPath": "/var/tempo", "name": "data"', '"mountPath": "/var/tempo", "name": "traces"'),
    (services, "grafana", '"targetPort": "otlp-http"', '"targetPort": "otlp"'),
    (services, "grafana", '"serviceName": "tempo-pods"', '"serviceName": "tempo"'),
    (services, "local", '"selector": {"app.kubernetes.io/name": "onboarding-api"}', '"selector": {"app.kubernetes.io/name": "local-stack"}'),
    (own_selectors, "grafana", '"topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable"', '"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, "whenUnsatisfiable"'),
    (own_selectors, "grafana", '"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "onboarding-api"', '"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"'),
    (policies, "grafana", '"ports": [{"port": 8888}, {"port": 3200}]', '"ports": [{"port": 8889}, {"port": 3200}]'),
    (policies, "grafana", '"kubernetes.io/metadata.name": "traefik"', '"kubernetes.io/metadata.name": "treafik"'),
    (ingress, "grafana", '"secretName": "onboarding-api-tls"', '"secretName": "tls"'),
    (ingress, "grafana", '"host": "onboarding.example.com"', '"host": "api.example.com"'),
    (ingress, "grafana", '"service": {"name": "onboarding-api", "port": {"name": "http"}}', '"service": {"name": "onboarding-api", "port": {"name": "https"}}'),
    (rights, "grafana", '"nodes/stats"', '"nodes/proxy"'),
    (rights, "grafana", '"resources": ["pods", "namespaces"]', '"resources": ["pods", "namespaces", "secrets"]'),
    (collectors, "grafana", "/etc/otelcol/backend-loki.yaml", "/etc/otelcol/loki.yaml"),
    (collectors, "grafana", '"name": "OTLP_ENDPOINT"', '"name": "ENDPOINT"'),
    (collectors, "grafana", '"name": "QUEUE_STORAGE"', '"name": "STORAGE"'),
    (collectors, "grafana", '"value": "0.0.0.0"', '"value": "127.0.0.1"'),
    (addresses, "grafana", "http://collector-agent.observability:4318", "http://collector-agent.observability:4319"),
    (addresses, "grafana", "http://collector-gateway.observability:4318", "http://collector-gateway:80"),
    (addresses, "grafana", '"type": "ExternalName"', '"type": "ClusterIP", "selector": {}, "ports": []'),
    (addresses, "local", "--sqs-port=9324", "--sqs-port=9323"),
    (addresses, "grafana", "http://onboarding-api.onboarding/onboarding", "http://onboarding-api.onboarding:81/onboarding"),
    (allowed, "grafana", '"ingress": [{"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "collector-agent"}}}]', '"ingress": [{"from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "agent"}}}]'),
    (allowed, "local", '"kubernetes.io/metadata.name": "observability"', '"kubernetes.io/metadata.name": "monitoring"'),
    (known_variables, "grafana", '"SHUTDOWN_TIMEOUT"', '"SHUTDOWN_TIME"'),
    (known_variables, "grafana", '"BATON_LOAD_RATE"', '"BATON_RATE"'),
]
