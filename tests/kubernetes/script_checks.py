"""Checks of the scripts in infra/kubernetes, with `kubectl.py` in place of kubectl. Behind forwarded ports are the real
services and the real Collector."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

from pipeline import Pipeline

HERE = pathlib.Path(__file__).resolve().parent
LIMIT_SECONDS = 120
# Time limit of each check in a script, in seconds.
WAIT_SECONDS = "15"
# Enough for a check that is expected to fail.
SHORT_WAIT_SECONDS = "2"
IMAGE = "registry.example.org/onboarding-api:2.0.0"
AGENT = {"kind": "DaemonSet", "metadata": {"name": "coralogix-opentelemetry-agent", "namespace": "observability"}, "spec": {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"image": "agent:1"}]}}}}
# The example values of the overlays, and others.
OWN_VALUES = {"123456789012": "210987654321", "onboarding.example.com": "onboarding.shop.test", "example-cluster": "shop"}
# The part of the report of `baton load` that test.sh reads.
LOAD_REPORT = """  requests    40
  accepted    38
"""


class Cluster:
    """A cluster that exists in a file, and a copy of the scripts and overlays."""

    def __init__(self, setting, faults=None, objects=(), ports=None):
        self.setting = setting
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=setting.folder))
        shutil.copytree(setting.root / "infra", self.folder / "infra", ignore=shutil.ignore_patterns("docker", "grafana/provisioning*"))
        program = self.folder / "bin" / "kubectl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{setting.python}" "{HERE / "kubectl.py"}" "$@"\n')
        program.chmod(0o755)
        self.file = self.folder / "cluster.json"
        self.write(
            {
                "kustomize": str(setting.kustomize),
                "objects": [*objects, {"kind": "Namespace", "metadata": {"name": "monitoring"}}],
                "faults": faults or {},
                "ports": setting.pipeline.ports() if ports is None else ports,
                "calls": [],
                "templates": {},
                "bad_images": [],
                "load_report": LOAD_REPORT,
            }
        )

    def write(self, state):
        self.file.write_text(json.dumps(state))

    def state(self):
        return json.loads(self.file.read_text())

    def change(self, **changes):
        self.write(self.state() | changes)

    def own_values(self):
        """Replaces the example values in the overlays, as a user does."""
        for file in (self.folder / "infra/kubernetes").rglob("*"):
            if file.suffix in (".yaml", ".env"):
                text = file.read_text()
                for example, own in OWN_VALUES.items():
                    text = text.replace(example, own)
                file.write_text(text)
        return self

    def run(self, script, *arguments, code=0, wait=WAIT_SECONDS, **environment):
        """Runs a script, and returns its output."""
        variables = {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "STAND_IN": str(self.file), "WAIT_SECONDS": wait} | environment
        command = [self.folder / "infra/kubernetes" / f"{script}.sh", *arguments]
        done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_SECONDS)
        assert done.returncode == code, f"{script}.sh exits with {done.returncode}, expected {code}: {done.stdout[-2000:]}"
        assert "the stand-in does not know" not in done.stdout, done.stdout
        return done.stdout

    def calls(self, start):
        return [call for call in self.state()["calls"] if call.startswith(start)]

    def names(self, kind):
        return sorted(one["metadata"]["name"] for one in self.state()["objects"] if one["kind"] == kind)

    def image(self):
        [api] = [one for one in self.state()["objects"] if one["kind"] == "Deployment" and one["metadata"]["name"] == "onboarding-api"]
        return api["spec"]["template"]["spec"]["containers"][0]["image"]


class Setting:
    """What all checks share: the running programs, and paths."""

    def __init__(self, root, kustomize, python, pipeline, folder):
        self.root, self.kustomize, self.python, self.pipeline, self.folder = root, kustomize, python, pipeline, folder


def contains(output, *texts):
    for text in texts:
        assert text in output, f"expected {text!r} in: {output}"


def backends(setting):
    url = f"http://{setting.pipeline.backend.address}"
    return {"LOKI_URL": url, "PROMETHEUS_URL": url}


def help_and_usage(setting):
    """Each script has a help, and refuses unknown options and overlays."""
    cluster = Cluster(setting)
    for script, count in (("install", 1), ("validate", 1), ("test", 1), ("uninstall", 1), ("deploy", 2)):
        output = cluster.run(script, "--help")
        contains(output, f"usage: infra/kubernetes/{script}.sh OVERLAY", "coralogix, grafana, k3s, local", "--dry-run", "--context")
        cluster.run(script, code=2)
        cluster.run(script, "local", "--fast", code=2)
        arguments = ["staging", IMAGE][:count]
        contains(cluster.run(script, *arguments, code=2), "overlay 'staging': expected coralogix, grafana, k3s, local, or a folder")
    contains(cluster.run("install", "local", code=2, wait="soon"), "WAIT_SECONDS: expected a positive integer, found 'soon'")
    assert not cluster.calls("apply"), cluster.state()["calls"]


def dry_runs(setting):
    """A dry run builds the overlay, prints the calls, and makes none of them."""
    cluster = Cluster(setting).own_values()
    for overlay in ("coralogix", "grafana", "k3s", "local"):
        contains(cluster.run("install", overlay, "--dry-run"), "kubectl get --raw /version", "kubectl apply --server-side", "kubectl rollout status deployment/onboarding-api", "dry run: nothing was called")
        contains(cluster.run("validate", overlay, "--dry-run"), "kubectl port-forward --namespace onboarding", "/telemetry/smoke", "dry run: nothing was called")
        contains(cluster.run("test", overlay, "--dry-run"), "kubectl create job load-test-", "dry run: nothing was called")
        contains(cluster.run("uninstall", overlay, "--delete-data", "--dry-run"), "kubectl delete --ignore-not-found", "kubectl delete namespace onboarding", "dry run: nothing was called")
        contains(cluster.run("deploy", overlay, IMAGE, "--dry-run"), "kubectl apply --server-side", "/telemetry/smoke", "dry run: nothing was called")
    calls = [call for call in cluster.state()["calls"] if not call.startswith("kustomize")]
    assert not calls, calls


def a_life(setting):
    """install.sh, validate.sh, test.sh and uninstall.sh work one after the other, and again."""
    cluster = Cluster(setting)
    for _ in range(2):
        contains(cluster.run("install", "local", "--context", "stand-in"), "Deployment onboarding-api is rolled out", "installed local")
    output = cluster.run("validate", "local", "--context", "stand-in", **backends(setting))
    contains(
        output,
        "ok      all pods of DaemonSet collector-agent are ready: 1",
        "ok      Service tempo has endpoints",
        "ok      the collector has received spans",
        "ok      the trace is in Tempo, with all spans",
        *(f"ok      spans have the attribute k8s.{name}" for name in ("pod.name", "namespace.name", "deployment.name", "node.name", "container.name", "cluster.name")),
        "ok      the log lines of the trace are in Loki",
        "ok      the span metrics count the request",
        "all checks passed",
    )
    contains(cluster.run("validate", "local"), "not checked: the log lines, because LOKI_URL is not set", "all checks passed")
    output = cluster.run("test", "local", LOAD_PROFILE="steady", LOAD_RATE="5")
    contains(output, "daemonset collector-agent is restarted under load", "ok      no request failed", "ok      every message was consumed", "all checks passed")
    [job] = [one for one in cluster.state()["objects"] if one["kind"] == "Job"]
    assert job["variables"] == {"BATON_LOAD_PROFILE": "steady", "BATON_LOAD_RATE": "5", "BATON_LOAD_DURATION": "2m"}, job
    contains(cluster.run("uninstall", "local"), "volumes remain in observability: data-tempo-0", "namespace onboarding remains")
    assert cluster.names("Deployment") == cluster.names("Job") == [] and cluster.names("PersistentVolumeClaim") == ["data-tempo-0"], cluster.state()["objects"]
    contains(cluster.run("uninstall", "local", "--delete-data"), "deleted the namespace onboarding")
    assert cluster.names("Namespace") == ["monitoring"] and not cluster.names("PersistentVolumeClaim"), cluster.state()["objects"]
    cluster.run("uninstall", "local", "--delete-data")


def example_values(setting):
    """install.sh refuses example values, and names their files."""
    cluster = Cluster(setting)
    output = cluster.run("install", "coralogix", code=1)
    contains(output, "example value left: 123456789012", "example value left: onboarding.example.com", "example value left: example-cluster", "overlays/coralogix/onboarding-api.env", "Replace the example values")
    assert not cluster.calls("apply") and not cluster.calls("get"), cluster.state()["calls"]
    # Values of the overlay below.
    contains(cluster.run("install", "k3s", code=1), "overlays/grafana/onboarding-api.env")


def other_overlays(setting):
    """install.sh checks what the other overlays need: Coralogix' agent, keys, and the namespace of Grafana."""
    cluster = Cluster(setting).own_values()
    contains(cluster.run("install", "coralogix", code=1), "Coralogix' agent is not ready in the namespace observability", "infra/helm/install-coralogix.sh --help")
    cluster.change(objects=[AGENT])
    contains(cluster.run("install", "coralogix"), "ok      Coralogix' agent runs", "installed coralogix")
    contains(cluster.run("install", "grafana", code=1), "the namespace monitoring does not exist")
    cluster = Cluster(setting).own_values()
    contains(cluster.run("install", "k3s", code=1), "the Secret onboarding-api-aws does not exist", "kubectl create secret generic onboarding-api-aws --namespace onboarding --from-literal AWS_ACCESS_KEY_ID=... --from-literal AWS_SECRET_ACCESS_KEY=...")
    contains(cluster.run("install", "grafana"), "StatefulSet collector-gateway is rolled out", "installed grafana")


def failed_installations(setting):
    """install.sh stops at the first problem, and says what to do: no cluster, an old one, a refused object, pods that do not start."""
    expected = {
        "unreachable": (True, "the cluster does not respond: The connection to the server", "kubectl config current-context"),
        "minor": ("28", "the cluster has Kubernetes 1.28, expected 1.29 or later"),
        "refused": ("NetworkPolicy", "the manifests were not applied:", "networkpolicy is forbidden"),
    }
    for fault, (value, *texts) in expected.items():
        contains(Cluster(setting, {fault: value}).run("install", "local", code=1), *texts)
    reasons = {
        "ImagePullBackOff": "the image cannot be pulled: ",
        "CreateContainerConfigError": "a ConfigMap or Secret, or a key in it, does not exist",
        "CrashLoopBackOff": "error: QUEUE_URL: expected a URL",
        "Pending": "no node accepts the pod, or a volume is missing",
        "NotReady": "Most likely it cannot reach its queue: check QUEUE_URL",
    }
    for reason, text in reasons.items():
        output = Cluster(setting, {"waiting": {"onboarding-api": reason}}).run("install", "local", code=1)
        contains(output, "FAILED  Deployment onboarding-api is not rolled out: error: timed out", text, "Correct the cause, and run the script again.")
    output = Cluster(setting, {"waiting": {"tempo": "NotReady"}, "no_pods": "tempo"}).run("install", "local", code=1)
    contains(output, "StatefulSet tempo has created no pod", "kubectl describe statefulset tempo --namespace observability")
    contains(Cluster(setting).run("install", "local", "--context", "other", code=1), 'context "other" does not exist')


def failed_validations(setting):
    """validate.sh reports pods, endpoints, collectors, spans, attributes, log lines and metrics that are missing."""
    cluster = Cluster(setting)
    contains(cluster.run("validate", "local", code=1, wait=SHORT_WAIT_SECONDS), "all pods of Deployment onboarding-api are ready: it does not exist. Run infra/kubernetes/install.sh local")
    cluster.run("install", "local")
    faults = {
        "waiting": ({"onboarding-api": "ImagePullBackOff"}, "FAILED  all pods of Deployment onboarding-api are ready: 0 of 1", "the image cannot be pulled"),
        "no_endpoints": ("tempo", "FAILED  Service tempo has endpoints: no pod that it selects is ready"),
    }
    for fault, (value, *texts) in faults.items():
        cluster.change(faults={fault: value})
        contains(cluster.run("validate", "local", code=1, wait=SHORT_WAIT_SECONDS), *texts, "failed checks: ")
    cluster.change(faults={})
    hidden = {
        "accepted spans": "FAILED  the collector has received spans: otelcol_receiver_accepted_spans_total is still 0",
        "process onboarding": "FAILED  the trace is in Tempo, with all spans: missing after 2 s: process onboarding",
        "k8s.node.name": "FAILED  spans have the attribute k8s.node.name",
        "logs": "FAILED  the log lines of the trace are in Loki: none after 2 s",
        "span metrics": "FAILED  the span metrics count the request",
    }
    for name, text in hidden.items():
        setting.pipeline.hidden = {name}
        try:
            contains(cluster.run("validate", "local", code=1, wait=SHORT_WAIT_SECONDS, **backends(setting)), text, "failed checks: 1")
        finally:
            setting.pipeline.hidden = set()
    ports = setting.pipeline.ports()
    cluster.change(ports={name: port for name, port in ports.items() if not name.startswith("onboarding-api")})
    contains(cluster.run("validate", "local", code=1), "the API can be reached through kubectl port-forward: error: unable to forward port")
    # A server that is not the API.
    cluster.change(ports=ports | {"onboarding-api:8080": ports["tempo:3200"]})
    contains(cluster.run("validate", "local", code=1), "FAILED  GET /readyz: curl: (22)", "FAILED  POST /telemetry/smoke: curl: (22)")


def failed_tests(setting):
    """test.sh reports a failed load, a collector that does not start again, and an overlay without load."""
    cluster = Cluster(setting)
    cluster.run("install", "local")
    cluster.change(faults={"load": "failed"})
    contains(cluster.run("test", "local", code=1), "FAILED  no request failed: see the report above", "accepted    38")
    check_dead_letters(setting, cluster)
    cluster.change(faults={"waiting": {"collector-agent": "CrashLoopBackOff"}})
    contains(cluster.run("test", "local", code=1, wait=SHORT_WAIT_SECONDS), "The overlay does not work without load.")
    cluster.change(faults={})
    contains(cluster.run("test", "local", code=1, wait=SHORT_WAIT_SECONDS, **backends(setting)), "FAILED  the span metrics count every accepted request: 38 requests, 0 spans")
    kustomization = cluster.folder / "infra/kubernetes/overlays/local/kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace("  - ../../components/load\n", ""))
    contains(cluster.run("test", "local", code=2), "the overlay has no CronJob load: add the component load")


def check_dead_letters(setting, cluster):
    """The load of this cluster is a dead letter."""
    cluster.change(faults={})
    sender = cluster.folder / "bin" / "kubectl"
    before = sender.read_text()
    # Sends the message when the load is created.
    request = cluster.folder / "send"
    request.write_text("")
    sender.write_text(before.replace("#!/bin/sh\n", f'#!/bin/sh\ncase "$*" in *"create job"*) touch "{request}.now" ;; esac\n'))
    stop = threading.Event()

    def send():
        while not stop.wait(0.05):
            if pathlib.Path(f"{request}.now").exists():
                setting.pipeline.send_dead_letter()
                return

    thread = threading.Thread(target=send)
    thread.start()
    try:
        contains(cluster.run("test", "local", code=1), "FAILED  every message was consumed: new messages in the dead-letter queue: 1")
    finally:
        stop.set()
        thread.join()
        sender.write_text(before)


def foreign_objects(setting):
    """uninstall.sh keeps a namespace with other objects, and reports objects that are not deleted."""
    cluster = Cluster(setting, objects=[{"kind": "Secret", "metadata": {"name": "other", "namespace": "onboarding"}}])
    cluster.run("install", "local")
    contains(cluster.run("uninstall", "local", "--delete-data"), "namespace onboarding remains, because of secret/other", "deleted the namespace observability")
    cluster.change(faults={"stuck": True})
    contains(cluster.run("uninstall", "local", code=1), "not all objects were deleted:", "timed out waiting", "run the script again")


def deliveries(setting):
    """deploy.sh installs an image, and goes back to the previous one if the new one does not start or does not work."""
    cluster = Cluster(setting)
    contains(cluster.run("deploy", "local", "onboarding-api", code=2), "IMAGE: expected an image with a tag other than latest, or with a digest, found 'onboarding-api'")
    contains(cluster.run("deploy", "local", "onboarding-api:latest", code=2), "found 'onboarding-api:latest'")
    contains(cluster.run("deploy", "local", IMAGE), "image   onboarding-api:development is replaced with", "all checks passed", f"deployed {IMAGE}")
    assert cluster.image() == IMAGE, cluster.image()
    bad = IMAGE.replace("2.0.0", "3.0.0")
    cluster.change(bad_images=[bad])
    contains(cluster.run("deploy", "local", bad, code=1), "the image cannot be pulled", f"the new version was not installed. The previous version runs again: {IMAGE}")
    assert cluster.image() == IMAGE, cluster.image()
    cluster.change(bad_images=[])
    setting.pipeline.hidden = {"send onboarding"}
    try:
        output = cluster.run("deploy", "local", bad, code=1, wait=SHORT_WAIT_SECONDS)
        contains(output, "missing after 2 s: send onboarding", f"the new version does not work. The previous version runs again: {IMAGE}")
        assert cluster.image() == IMAGE, cluster.image()
        contains(cluster.run("deploy", "local", IMAGE, code=1, wait=SHORT_WAIT_SECONDS), "The pods of the API were not changed, so there is nothing to go back to.")
        contains(Cluster(setting).run("deploy", "local", IMAGE, code=1, wait=SHORT_WAIT_SECONDS), "There is no previous version to go back to")
    finally:
        setting.pipeline.hidden = set()


CHECKS = [help_and_usage, dry_runs, a_life, example_values, other_overlays, failed_installations, failed_validations, failed_tests, foreign_objects, deliveries]


def results(root, kustomize, python, paths, overlay):
    """Yields the title of each check and its complaints. `overlay` is the overlay `local`."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "pipeline").mkdir()
        with Pipeline(paths, folder / "pipeline", overlay) as pipeline:
            setting = Setting(root, kustomize, python, pipeline, folder)
            for check in CHECKS:
                try:
                    check(setting)
                    complaints = []
                except Exception as error:  # Any exception fails the check; the other checks still run.
                    complaints = [f"{type(error).__name__}: {error}"]
                yield f"scripts: {check.__doc__}", complaints
