"""Checks of the overlays and the scripts with a real API server, in which no container runs."""

import json
import pathlib
import shutil
import subprocess
import tempfile

from api_server import ApiServer
from overlay import OVERLAYS, Overlay, build
from script_checks import AGENT, IMAGE, OWN_VALUES, contains

LIMIT_SECONDS = 300
WAIT_SECONDS = "60"
# Mistakes that the API server must refuse, with its words.
REFUSED = [
    ('"maxSurge"', '"maxSurges"', "field not declared in schema"),
    ('"fieldPath": "spec.nodeName"', '"fieldPath": "spec.node"', "spec.node"),
    ('"minReplicas": 3', '"minReplicas": 30', "minReplicas"),
    ('"minReplicas": 3', '"minReplicas": "three"', "expected numeric"),
    ('"whenUnsatisfiable": "ScheduleAnyway"', '"whenUnsatisfiable": "Later"', "Unsupported value"),
    ('"pathType": "Exact"', '"pathType": "Whole"', "Unsupported value"),
]
# What agent.yaml needs, and what it must not have.
ALLOWED = [(verb, resource) for resource in ("pods", "namespaces", "replicasets.apps") for verb in ("get", "list", "watch")] + [("get", "nodes/stats")]
FORBIDDEN = [("get", "secrets"), ("list", "configmaps"), ("delete", "pods"), ("get", "nodes/proxy")]


class Cluster:
    """An API server, and a copy of the scripts and overlays with values of a user."""

    def __init__(self, server, root, kustomize, folder):
        self.server, self.kustomize = server, kustomize
        self.folder = folder / "checkout"
        shutil.copytree(root / "infra", self.folder / "infra")
        for file in (self.folder / "infra/kubernetes").rglob("*"):
            if file.suffix in (".yaml", ".env"):
                text = file.read_text()
                for example, own in OWN_VALUES.items():
                    text = text.replace(example, own)
                file.write_text(text)

    def overlay(self, name):
        return Overlay.parse(name, build(self.kustomize, self.folder / "infra/kubernetes/overlays" / name))

    def apply(self, overlay, *options, check=True):
        text = "\n---\n".join(json.dumps(manifest) for manifest in overlay.manifests)
        return self.server.kubectl("apply", "--server-side", "--field-manager", "baton", "--validate=strict", *options, "--filename", "-", stdin=text, check=check)

    def run(self, script, *arguments, code=0, wait=WAIT_SECONDS):
        command = [self.folder / "infra/kubernetes" / f"{script}.sh", *arguments]
        environment = self.server.environment() | {"WAIT_SECONDS": wait}
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_SECONDS)
        assert done.returncode == code, f"{script}.sh exits with {done.returncode}, expected {code}: {done.stdout[-2000:]}"
        return done.stdout

    def image(self):
        return self.server.kubectl("get", "deployment", "onboarding-api", "-n", "onboarding", "-o", "jsonpath={.spec.template.spec.containers[0].image}").stdout

    def create(self, manifest):
        self.server.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def objects_are_accepted(cluster):
    """Every overlay is accepted with strict validation and without a warning, and changes nothing when it is applied again."""
    for name in OVERLAYS:
        overlay = cluster.overlay(name)
        for namespace in ("monitoring", "onboarding", "observability"):
            cluster.server.kubectl("create", "namespace", namespace, check=False)
        first = cluster.apply(overlay)
        assert "arning" not in first.stderr, f"{name}: {first.stderr}"
        before = objects(cluster, overlay)
        cluster.apply(overlay)
        assert objects(cluster, overlay) == before, f"{name}: {changed(before, objects(cluster, overlay))}"
        # The comparison sees a change of an object without a specification.
        cluster.apply(overlay.with_text_replaced('"BATON_LOAD_RATE": "20"', '"BATON_LOAD_RATE": "21"'))
        found = changed(before, objects(cluster, overlay))
        assert len(found) == 1 and found[0][0] == "ConfigMap", found
        delete(cluster, overlay)


def changed(before, after):
    return [key for key in before if before[key] != after[key]]


def objects(cluster, overlay):
    """Returns the objects of an overlay, without what their controllers change."""
    found = {}
    for manifest in overlay.manifests:
        metadata = manifest["metadata"]
        namespace = ["-n", metadata["namespace"]] if "namespace" in metadata else []
        one = json.loads(cluster.server.kubectl("get", manifest["kind"], metadata["name"], *namespace, "-o", "json").stdout)
        one.pop("status", None)
        for field in ("resourceVersion", "generation", "annotations"):
            one["metadata"].pop(field, None)
        if manifest["kind"] == "Deployment":
            # The autoscaler sets it.
            one["spec"].pop("replicas")
        found[manifest["kind"], metadata.get("namespace"), metadata["name"]] = one
    return found


def delete(cluster, overlay):
    text = "\n---\n".join(json.dumps(manifest) for manifest in overlay.manifests if manifest["kind"] != "Namespace")
    cluster.server.kubectl("delete", "--ignore-not-found", "--wait", "--filename", "-", stdin=text)
    cluster.server.kubectl("delete", "persistentvolumeclaims", "--all", "-n", "observability")


def mistakes_are_refused(cluster):
    """Mistakes in manifests are refused: unknown fields and values, and pods with privileges among the services."""
    for namespace in ("monitoring", "onboarding", "observability"):
        cluster.server.kubectl("create", "namespace", namespace, check=False)
    for text, replacement, words in REFUSED:
        done = cluster.apply(cluster.overlay("grafana").with_text_replaced(text, replacement), "--dry-run=server", check=False)
        assert done.returncode and words in done.stderr, f"{replacement}: {done.stderr}"
    cluster.apply(cluster.overlay("local"))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "onboarding"}, "spec": {"containers": [{"name": "bad", "image": "bad:1", "securityContext": {"privileged": True}}]}}
    done = cluster.server.kubectl("create", "-f", "-", stdin=json.dumps(pod), check=False)
    assert done.returncode and 'violates PodSecurity "restricted' in done.stderr, done.stderr
    delete(cluster, cluster.overlay("local"))


def agents_have_their_rights(cluster):
    """The agents may read what their configuration reads, and nothing else."""
    cluster.apply(cluster.overlay("local"))
    for expected, rights in (("yes", ALLOWED), ("no", FORBIDDEN)):
        for verb, resource in rights:
            name, _, part = resource.partition("/")
            subresource = ["--subresource", part] if part else []
            done = cluster.server.kubectl("auth", "can-i", verb, name, *subresource, "--as", "system:serviceaccount:observability:collector-agent", "--all-namespaces", check=False)
            assert done.stdout.strip() == expected, f"{verb} {resource}: {done.stdout}{done.stderr}"
    delete(cluster, cluster.overlay("local"))


def overlays_are_installed(cluster):
    """install.sh installs every overlay and waits for its pods, validate.sh finds them, and uninstall.sh removes everything."""
    for name in OVERLAYS:
        prepare(cluster, name)
        for _ in range(2):
            contains(cluster.run("install", name), "Deployment onboarding-api is rolled out", f"installed {name}")
        # No kubelet forwards ports.
        contains(cluster.run("validate", name, code=1), "ok      all pods of Deployment onboarding-api are ready", "ok      Service onboarding-api has endpoints", "FAILED  the API can be reached through kubectl port-forward")
        contains(cluster.run("uninstall", name), f"deleted the objects of {name}", "namespace onboarding remains")
        cluster.server.kubectl("delete", "secret", "--all", "-n", "onboarding")
        cluster.server.kubectl("delete", "daemonset", "--all", "-n", "observability", check=False)
        contains(cluster.run("uninstall", name, "--delete-data"), "deleted the namespace onboarding")
        left = cluster.server.kubectl("get", "pods,persistentvolumeclaims,deployments", "--all-namespaces", "-o", "name").stdout
        assert not left, left


def prepare(cluster, name):
    """Creates what users have before they install an overlay."""
    for namespace in ("monitoring", "onboarding", "observability"):
        cluster.server.kubectl("create", "namespace", namespace, check=False)
    if name == "k3s":
        contains(cluster.run("install", name, code=1), "the Secret onboarding-api-aws does not exist")
        cluster.server.kubectl("create", "secret", "generic", "onboarding-api-aws", "-n", "onboarding", "--from-literal=AWS_ACCESS_KEY_ID=a", "--from-literal=AWS_SECRET_ACCESS_KEY=b")
    if name == "coralogix":
        contains(cluster.run("install", name, code=1), "Coralogix' agent is not ready")
        labels = {"app": "agent"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}
        cluster.create(AGENT | {"apiVersion": "apps/v1", "spec": {"selector": {"matchLabels": labels}, "template": template}})
        cluster.server.kubectl("rollout", "status", "daemonset/coralogix-opentelemetry-agent", "-n", "observability", "--timeout", "60s")


def failures_are_explained(cluster):
    """install.sh explains pods that do not start, and deploy.sh goes back to the previous image."""
    contains(cluster.run("install", "local"), "installed local")
    image = cluster.image()
    # No kubelet forwards ports, so validate.sh fails.
    contains(cluster.run("deploy", "local", IMAGE, code=1), f"the new version does not work. The previous version runs again: {image}")
    assert cluster.image() == image, cluster.image()
    cluster.server.bad_images.add(IMAGE)
    output = cluster.run("deploy", "local", IMAGE, code=1, wait="10")
    contains(output, "FAILED  Deployment onboarding-api is not rolled out", f"the image cannot be pulled: {IMAGE}", "the new version was not installed. The previous version runs again")
    assert cluster.image() == image, cluster.image()
    contains(cluster.run("install", "local"), "installed local")
    job = cluster.server.kubectl("create", "job", "load-1", "--from", "cronjob/load", "-n", "onboarding", "--dry-run=client", "-o", "yaml").stdout
    job = cluster.server.kubectl("set", "env", "--local", "-f", "-", "-o", "yaml", "BATON_LOAD_RATE=5", stdin=job).stdout
    cluster.server.kubectl("apply", "-f", "-", stdin=job)
    cluster.run("uninstall", "local", "--delete-data")


CHECKS = [objects_are_accepted, mistakes_are_refused, agents_have_their_rights, overlays_are_installed, failures_are_explained]


def results(root, kustomize, programs):
    """Yields the title of each check and its complaints. `programs` is the folder of kubectl and the API server."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with ApiServer(programs, folder) as server:
            cluster = Cluster(server, root, kustomize, folder)
            for check in CHECKS:
                try:
                    check(cluster)
                    assert not server.failure, f"the thread that reports pods failed: {server.failure}"
                    complaints = []
                except Exception as error:  # Any exception fails the check; the other checks still run.
                    complaints = [f"{type(error).__name__}: {error}"]
                yield f"API server: {check.__doc__}", complaints
