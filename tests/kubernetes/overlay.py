"""The manifests of an overlay, as kustomize builds them."""

import json
import os
import subprocess
import tempfile
from typing import NamedTuple

import yaml

OVERLAYS = ("coralogix", "grafana", "k3s", "local")
# Components that no overlay contains.
OPTIONAL_COMPONENTS = ("pod-monitors", "profiling")
# Kinds that contain a template of pods, with the path to the pods' specification.
POD_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def build(kustomize, folder):
    """Returns the manifests of a folder with a kustomization, as text."""
    command = [kustomize, "build", "--load-restrictor", "LoadRestrictionsNone", folder]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def build_with_components(kustomize, root, name, components):
    """Returns the manifests of an overlay with more components, as a kustomization of a user has them."""
    # kustomize accepts relative paths only.
    with tempfile.TemporaryDirectory(dir=root / "target/kubernetes") as folder:
        kubernetes = os.path.relpath(root / "infra/kubernetes", folder)
        document = {"resources": [f"{kubernetes}/overlays/{name}"], "components": [f"{kubernetes}/components/{component}" for component in components]}
        with open(os.path.join(folder, "kustomization.yaml"), "w") as file:
            yaml.safe_dump(document, file)
        return build(kustomize, folder)


class Overlay(NamedTuple):
    """The manifests of an overlay, and its name."""

    name: str
    manifests: list

    @classmethod
    def parse(cls, name, text):
        return cls(name, [manifest for manifest in yaml.safe_load_all(text) if manifest])

    def of_kind(self, *kinds):
        return [manifest for manifest in self.manifests if manifest["kind"] in kinds]

    def find(self, kind, name, namespace):
        """Returns the manifest with this name, or None."""
        found = [m for m in self.of_kind(kind) if m["metadata"]["name"] == name and m["metadata"].get("namespace") == namespace]
        return found[0] if found else None

    def workloads(self):
        """Returns the pods that the manifests create."""
        return [Workload(manifest, template(manifest)) for manifest in self.of_kind(*POD_TEMPLATES)]

    def workload(self, name):
        (found,) = [workload for workload in self.workloads() if workload.manifest["metadata"]["name"] == name]
        return found

    def with_text_replaced(self, text, replacement):
        """Returns a copy with a mistake in it."""
        manifests = json.dumps(self.manifests)
        assert text in manifests, f"the overlay {self.name} does not contain {text}"
        return self._replace(manifests=json.loads(manifests.replace(text, replacement)))


def template(manifest):
    for key in POD_TEMPLATES[manifest["kind"]]:
        manifest = manifest[key]
    return manifest


class Workload(NamedTuple):
    """A manifest that creates pods, and the template of its pods."""

    manifest: dict
    template: dict

    def __str__(self):
        return f"{self.manifest['kind']} {self.manifest['metadata']['name']}"

    @property
    def namespace(self):
        return self.manifest["metadata"]["namespace"]

    @property
    def pod(self):
        return self.template["spec"]

    @property
    def labels(self):
        return self.template["metadata"]["labels"]

    def containers(self):
        """Returns the containers that run as long as the pod, which include sidecars."""
        sidecars = [container for container in self.pod.get("initContainers", []) if container.get("restartPolicy") == "Always"]
        return sidecars + self.pod["containers"]

    def all_containers(self):
        return self.pod.get("initContainers", []) + self.pod["containers"]

    def ports(self):
        """Returns the ports of all containers by name and by number."""
        ports = [port for container in self.all_containers() for port in container.get("ports", [])]
        return {port["name"]: port["containerPort"] for port in ports} | {port["containerPort"]: port["containerPort"] for port in ports}


def variables(overlay, workload, container):
    """Returns the variables of a container by name. The value of a reference is the reference."""
    found = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            config_map = overlay.find("ConfigMap", source["configMapRef"]["name"], workload.namespace)
            found |= config_map["data"] if config_map else {}
    for variable in container.get("env", []):
        found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    return found
