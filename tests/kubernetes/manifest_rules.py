"""Rules for every overlay. Each returns its complaints."""

import re

import kubernetes_validate
from overlay import variables

# Versions of Kubernetes whose schemas the manifests must match.
KUBERNETES = ("1.35", "1.36", "1.37")
# Secrets that users create, with the keys that are read.
EXTERNAL_SECRETS = {
    "onboarding-api-tls": "cert-manager creates it",
    "onboarding-api-aws": "install.sh prints the command that creates it",
    "load-server": "docs/load.md has the command that creates it",
}
# Namespaces of other software.
EXTERNAL_NAMESPACES = {"monitoring", "kube-system", "traefik"}
# Kinds without a schema, with the reason. component_rules.py checks their selectors and ports.
WITHOUT_SCHEMA = {"PodMonitor": "the Prometheus Operator defines it"}
# Kinds that have no namespace.
CLUSTER_KINDS = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
# Attributes of the pod on every span, with the field of the pod that each is.
POD_FIELDS = {
    "K8S_POD_NAME": "metadata.name",
    "K8S_POD_UID": "metadata.uid",
    "K8S_POD_IP": "status.podIP",
    "K8S_NAMESPACE_NAME": "metadata.namespace",
    "K8S_NODE_NAME": "spec.nodeName",
}
POD_VALUES = {"K8S_DEPLOYMENT_NAME": "onboarding-api", "K8S_CONTAINER_NAME": "onboarding-api"}
# Seconds for messages that are left, and for the last export, after SHUTDOWN_TIMEOUT.
LAST_SECONDS = 4
MEBIBYTE = 1024 * 1024
UNITS = {"Mi": MEBIBYTE, "Gi": 1024 * MEBIBYTE}


def schemas(overlay):
    """Each object matches the schemas of three versions of Kubernetes, without unknown fields."""
    complaints = []
    for version in KUBERNETES:
        for manifest in overlay.manifests:
            if manifest["kind"] in WITHOUT_SCHEMA:
                continue
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                complaints.append(f"{manifest['kind']} {manifest['metadata']['name']}, Kubernetes {version}: {error.message}")
    return complaints


def namespaces(overlay):
    """Each object names its namespace, which the overlay creates or which is listed."""
    known = {manifest["metadata"]["name"] for manifest in overlay.of_kind("Namespace")} | EXTERNAL_NAMESPACES
    return [
        f"{manifest['kind']} {manifest['metadata']['name']}: namespace {manifest['metadata'].get('namespace')}"
        for manifest in overlay.manifests
        if manifest["kind"] not in CLUSTER_KINDS and manifest["metadata"].get("namespace") not in known
    ]


def names_of_observability(overlay):
    """Namespaces have a label with their name, which network policies elsewhere select."""
    return [
        f"Namespace {manifest['metadata']['name']} has no label name={manifest['metadata']['name']}"
        for manifest in overlay.of_kind("Namespace")
        if manifest["metadata"].get("labels", {}).get("name") != manifest["metadata"]["name"]
    ]


def privileges(overlay):
    """No container has privileges, runs as root or writes to its root file system."""
    complaints = []
    for workload in overlay.workloads():
        pod = workload.pod.get("securityContext", {})
        if pod.get("runAsNonRoot") is not True or not pod.get("runAsUser") or pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
            complaints.append(f"{workload}: the pod may run as root, or without a seccomp profile")
        if any(workload.pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
            complaints.append(f"{workload}: the pod uses namespaces of its node")
        for container in workload.all_containers():
            wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            if container.get("securityContext") != wanted:
                complaints.append(f"{workload}: securityContext of {container['name']} is not {wanted}")
    return complaints


def restricted_namespace(overlay):
    """The namespace of the services accepts only pods without privileges, and only the agents mount a folder of their node."""
    (found,) = [manifest for manifest in overlay.of_kind("Namespace") if manifest["metadata"]["name"] == "onboarding"]
    complaints = [] if found["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") == "restricted" else ["onboarding accepts pods with privileges"]
    for workload in overlay.workloads():
        for volume in workload.pod.get("volumes", []):
            mounts = [mount for container in workload.all_containers() for mount in container.get("volumeMounts", []) if mount["name"] == volume["name"]]
            if "hostPath" in volume and (workload.manifest["metadata"]["name"] != "collector-agent" or not all(mount.get("readOnly") for mount in mounts)):
                complaints.append(f"{workload} mounts {volume['hostPath']['path']} of its node")
    return complaints


def tokens(overlay):
    """Only the agents get a token for the Kubernetes API."""
    return [
        f"{workload} has a token for the Kubernetes API"
        for workload in overlay.workloads()
        if workload.pod.get("automountServiceAccountToken") is not False and workload.manifest["metadata"]["name"] != "collector-agent"
    ]


def resources(overlay):
    """Each container requests CPU, memory and disk space, and has limits for memory and disk space."""
    complaints = []
    for workload in overlay.workloads():
        for container in workload.all_containers():
            found = container.get("resources", {})
            missing = {"cpu", "memory", "ephemeral-storage"} - set(found.get("requests", {}))
            missing |= {f"limit of {name}" for name in {"memory", "ephemeral-storage"} - set(found.get("limits", {}))}
            complaints += [f"{workload}: {container['name']} has no {name}" for name in sorted(missing)]
    return complaints


def probes(overlay):
    """Each server has a liveness and a readiness probe of a port that it has; sidecars and Jobs are not ready or unready."""
    complaints = []
    for workload in overlay.workloads():
        if workload.manifest["kind"] in ("Job", "CronJob"):
            continue
        sidecars = workload.pod.get("initContainers", [])
        for container in workload.containers():
            wanted = ["livenessProbe"] if container in sidecars else ["livenessProbe", "readinessProbe"]
            complaints += [f"{workload}: {container['name']} has no {probe}" for probe in wanted if probe not in container]
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                action = container.get(probe, {}).get("httpGet") or container.get(probe, {}).get("tcpSocket") or {}
                if action and action["port"] not in ports:
                    complaints.append(f"{workload}: {probe} of {container['name']} names the port {action['port']}")
    return complaints


def images(overlay):
    """Each image has a version, which is not `latest`."""
    found = [(workload, container["image"]) for workload in overlay.workloads() for container in workload.all_containers()]
    return [f"{workload}: image {image}" for workload, image in found if not re.search(r":(?!latest$)[\w.-]+$|@sha256:[0-9a-f]{64}$", image)]


def no_secrets(overlay):
    """No Secret is in the repository, and no variable contains a key."""
    complaints = [f"Secret {manifest['metadata']['name']}" for manifest in overlay.of_kind("Secret")]
    for workload in overlay.workloads():
        for container in workload.all_containers():
            for name, value in variables(overlay, workload, container).items():
                is_secret = re.search(r"TOKEN|SECRET|PASSWORD|PRIVATE_KEY|AUTHORIZATION", name)
                if is_secret and isinstance(value, str) and value != "local":
                    complaints.append(f"{workload}: {name} contains a value")
    return complaints


def resource_attributes(overlay):
    """The onboarding API adds the names of pod, namespace, node, deployment, container and cluster to its telemetry."""
    workload = overlay.workload("onboarding-api")
    (container,) = workload.pod["containers"]
    found = variables(overlay, workload, container)
    complaints = [f"{name} is {found.get(name)}" for name, field in POD_FIELDS.items() if found.get(name) != {"fieldRef": {"fieldPath": field}}]
    complaints += [f"{name} is {found.get(name)}" for name, value in POD_VALUES.items() if found.get(name) != value]
    attributes = found.get("OTEL_RESOURCE_ATTRIBUTES", "")
    complaints += [f"OTEL_RESOURCE_ATTRIBUTES has no {name}" for name in ("service.namespace=", "deployment.environment.name=") if name not in attributes]
    return complaints if found.get("K8S_CLUSTER_NAME") else [*complaints, "K8S_CLUSTER_NAME is not set"]


def same_cluster_name(overlay):
    """The API and the agents report the same name of the cluster."""
    names = {
        found["K8S_CLUSTER_NAME"]
        for workload in overlay.workloads()
        for container in workload.containers()
        if "K8S_CLUSTER_NAME" in (found := variables(overlay, workload, container))
    }
    return [] if len(names) == 1 else [f"names of the cluster: {sorted(names)}"]


def graceful_stop(overlay):
    """The API has enough time to stop before it is killed."""
    workload = overlay.workload("onboarding-api")
    found = variables(overlay, workload, workload.pod["containers"][0])
    needed = int(found["SHUTDOWN_GRACE_PERIOD"]) + int(found["SHUTDOWN_TIMEOUT"]) + LAST_SECONDS
    granted = workload.pod["terminationGracePeriodSeconds"]
    return [] if granted > needed else [f"terminationGracePeriodSeconds is {granted}, the API needs {needed}"]


def autoscaler_owns_replicas(overlay):
    """A Deployment with an autoscaler has no `replicas`, which would undo the scaling at each installation."""
    scaled = {manifest["spec"]["scaleTargetRef"]["name"] for manifest in overlay.of_kind("HorizontalPodAutoscaler")}
    return [
        f"{workload} has {workload.manifest['spec']['replicas']} replicas and an autoscaler"
        for workload in overlay.workloads()
        if workload.manifest["metadata"]["name"] in scaled and "replicas" in workload.manifest["spec"]
    ]


def default_deny(overlay):
    """In each namespace, pods receive nothing unless a policy allows it. Those of the services also send nothing."""
    wanted = {"onboarding": {"Ingress", "Egress"}, "observability": {"Ingress"}}
    complaints = []
    for manifest in overlay.of_kind("Namespace"):
        name = manifest["metadata"]["name"]
        policies = [policy["spec"] for policy in overlay.of_kind("NetworkPolicy") if policy["metadata"]["namespace"] == name]
        denied = [set(policy["policyTypes"]) for policy in policies if policy["podSelector"] == {} and not policy.get("ingress") and not policy.get("egress")]
        if not any(types >= wanted[name] for types in denied):
            complaints.append(f"no policy denies {sorted(wanted[name])} in {name}")
    return complaints


def egress(overlay):
    """The API sends to DNS, port 443, the credentials of the node and the collectors only."""
    policy = overlay.find("NetworkPolicy", "onboarding-api", "onboarding")
    complaints = []
    for rule in policy["spec"]["egress"]:
        ports = {port["port"] for port in rule.get("ports", [])}
        spaces = {peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name") for peer in rule.get("to", [])}
        blocks = {peer.get("ipBlock", {}).get("cidr") for peer in rule.get("to", [])}
        is_dns = ports == {53} and spaces == {"kube-system"}
        is_https = ports == {443}
        is_credentials = ports == {80} and blocks == {"169.254.170.23/32"}
        is_collector = ports == {4317, 4318} and (spaces == {"observability"} or (overlay.name == "coralogix" and None not in blocks))
        if not (is_dns or is_https or is_credentials or is_collector):
            complaints.append(f"the API may send to {sorted(map(str, spaces | blocks))} on the ports {sorted(ports)}")
    return complaints


def size(quantity):
    """Returns the bytes of a quantity of Kubernetes."""
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def sizes(overlay):
    """Gateways and Tempo request what they were planned with, and Go's soft limits are below those of the containers."""
    complaints = []
    planned = {"collector-gateway": (2, "200m", "256Mi"), "tempo": (1, "200m", "512Mi")}
    for workload in overlay.workloads():
        name = workload.manifest["metadata"]["name"]
        (container,) = workload.pod["containers"]
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        found = (workload.manifest["spec"].get("replicas"), requests["cpu"], requests["memory"])
        if name in planned and found != planned[name]:
            complaints.append(f"{workload} has replicas and requests {found}, expected {planned[name]}")
        soft = variables(overlay, workload, container).get("GOMEMLIMIT")
        if soft and not int(soft) < size(limits["memory"]):
            complaints.append(f"{workload}: GOMEMLIMIT {soft} is not below the limit {limits['memory']}")
    return complaints


RULES = [
    schemas, namespaces, names_of_observability, privileges, restricted_namespace, tokens, resources, probes, images, no_secrets,
    resource_attributes, same_cluster_name, graceful_stop, autoscaler_owns_replicas, default_deny, egress, sizes,
]  # fmt: skip

# A text in the manifests of an overlay, its replacement, and the rule that must report it.
MISTAKES = [
    (schemas, "grafana", '"maxSurge"', '"maxSurges"'),
    (schemas, "grafana", '"minReplicas": 3', '"minReplicas": "3"'),
    (namespaces, "grafana", '"namespace": "monitoring"', '"namespace": "grafana"'),
    (names_of_observability, "grafana", '"name": "observability", "pod-security', '"team": "observability", "pod-security'),
    (privileges, "local", '"allowPrivilegeEscalation": false', '"allowPrivilegeEscalation": true'),
    (privileges, "grafana", '"runAsNonRoot": true', '"runAsNonRoot": false'),
    (privileges, "grafana", '"enableServiceLinks": false', '"hostNetwork": true'),
    (restricted_namespace, "grafana", '"pod-security.kubernetes.io/enforce": "restricted"', '"pod-security.kubernetes.io/enforce": "baseline"'),
    (restricted_namespace, "grafana", '"mountPropagation": "HostToContainer", "name": "host", "readOnly": true', '"name": "host"'),
    (tokens, "grafana", '"automountServiceAccountToken": false, "containers"', '"containers"'),
    (resources, "local", '"limits": {"ephemeral-storage": "64Mi", "memory": "128Mi"}', '"limits": {}'),
    (resources, "grafana", '"cpu": "200m", ', ""),
    (probes, "grafana", '"readinessProbe"', '"startupProbe"'),
    (probes, "grafana", '"path": "/readyz", "port": "http"', '"path": "/readyz", "port": "https"'),
    (images, "grafana", "onboarding-api:0.1.0", "onboarding-api:latest"),
    (images, "grafana", "onboarding-api:0.1.0", "onboarding-api"),
    (no_secrets, "grafana", '"kind": "ConfigMap"', '"kind": "Secret"'),
    (no_secrets, "grafana", '"name": "BATON_LOAD_TOKEN", "valueFrom": {"secretKeyRef": {"key": "TOKEN", "name": "load-server"}}', '"name": "BATON_LOAD_TOKEN", "value": "x"'),
    (resource_attributes, "grafana", '"fieldPath": "spec.nodeName"', '"fieldPath": "status.hostIP"'),
    (resource_attributes, "grafana", '"K8S_CONTAINER_NAME", "value": "onboarding-api"', '"K8S_CONTAINER_NAME", "value": "api"'),
    (resource_attributes, "grafana", '"K8S_CLUSTER_NAME"', '"CLUSTER"'),
    (resource_attributes, "local", "service.namespace=onboarding,", ""),
    (same_cluster_name, "grafana", '"name": "K8S_CLUSTER_NAME", "value": "example-cluster"', '"name": "K8S_CLUSTER_NAME", "value": "other"'),
    (graceful_stop, "grafana", '"SHUTDOWN_TIMEOUT": "15"', '"SHUTDOWN_TIMEOUT": "25"'),
    (autoscaler_owns_replicas, "grafana", '"progressDeadlineSeconds": 600', '"replicas": 3'),
    (default_deny, "grafana", '"policyTypes": ["Ingress", "Egress"]', '"policyTypes": ["Ingress"]'),
    (egress, "grafana", '[{"port": 443}]', '[{"port": 443}, {"port": 80}]'),
    (egress, "grafana", '"kubernetes.io/metadata.name": "observability"', '"kubernetes.io/metadata.name": "monitoring"'),
    (sizes, "grafana", '"value": "400000000"', '"value": "800000000"'),
    (sizes, "grafana", '"replicas": 2', '"replicas": 1'),
]
