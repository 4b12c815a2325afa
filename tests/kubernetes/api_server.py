"""A real API server with its controllers. A thread replaces the scheduler and the kubelets: it starts no container, and
only writes what they would report."""

import contextlib
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

START_SECONDS = 90
NODE = "node-1"


class ApiServer:
    """etcd, kube-apiserver and kube-controller-manager on loopback, during a `with` block."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.processes = []
        self.token = secrets.token_hex(16)
        # Pods with these images never start.
        self.bad_images = set()
        # An error of the thread.
        self.failure = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        etcd, peer, self.port = free_ports(3)
        client = f"http://127.0.0.1:{etcd}"
        self.run("etcd", f"--data-dir={self.folder / 'etcd'}", f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", f"--initial-cluster=default=http://127.0.0.1:{peer}", "--unsafe-no-fsync")
        key = self.folder / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f"{self.token},admin,admin,system:masters\n")
        certificates = self.folder / "certificates"
        self.run(
            "kube-apiserver",
            f"--etcd-servers={client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={certificates}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            # Otherwise it refuses all privileged pods, and not only those that PodSecurity forbids.
            "--allow-privileged=true",
            # The address of the API server as an endpoint, which must not be on loopback.
            "--endpoint-reconciler-type=none",
        )
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(self.configuration()))
        self.wait_until(lambda: self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
        self.run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={certificates / 'apiserver.crt'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
        )
        self.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"kubernetes.io/os": "linux"}}}))
        self.stopping = threading.Event()
        self.kubelet = threading.Thread(target=self.report_pods, daemon=True)
        self.kubelet.start()

    def stop(self):
        if hasattr(self, "kubelet"):
            self.stopping.set()
            self.kubelet.join(10)
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, name, *arguments):
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes.append(subprocess.Popen([self.programs / name, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def configuration(self):
        server = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": self.token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
            "current-context": "local",
        }

    def wait_until(self, condition):
        end = time.monotonic() + START_SECONDS
        while not condition():
            exited = [process.args[0].name for process in self.processes if process.poll() is not None]
            assert not exited, f"{exited[0]} exited: {(self.folder / f'{exited[0]}.log').read_text()[-2000:]}"
            assert time.monotonic() < end, "the API server has not started"
            time.sleep(0.2)

    def environment(self):
        return {"PATH": f"{self.programs}:{os.environ['PATH']}", "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}

    def kubectl(self, *arguments, stdin=None, check=True):
        """Runs the real kubectl."""
        done = subprocess.run([self.programs / "kubectl", *arguments], input=stdin, env=self.environment(), capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done

    # ---- scheduler and kubelets -----------------------------------------------------------------

    def request(self, method, path, body=None, kind="application/json"):
        headers = {"authorization": f"Bearer {self.token}", "content-type": kind}
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", json.dumps(body).encode() if body is not None else None, headers, method=method)
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(request, timeout=20, context=context) as response:
            return json.load(response)

    def report_pods(self):
        """Assigns pods to the node, reports them as ready, and completes their deletion."""
        while not self.stopping.wait(0.2):
            try:
                for pod in self.request("GET", "/api/v1/pods")["items"]:
                    # A pod that was deleted in the meantime, or changed.
                    with contextlib.suppress(urllib.error.HTTPError):
                        self.report(pod)
            except Exception as error:  # The checks report it.
                self.failure = self.failure or error

    def report(self, pod):
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            self.request("DELETE", path, {"gracePeriodSeconds": 0})
            return
        if not pod["spec"].get("nodeName"):
            self.request("POST", f"{path}/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": metadata["name"]}, "target": {"kind": "Node", "name": NODE}})
        status = self.status(pod)
        if pod["status"].get("podIP") != status["podIP"] or pod["status"].get("phase") != status["phase"]:
            self.request("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")

    def status(self, pod):
        containers = pod["spec"]["containers"]
        is_bad = any(container["image"] in self.bad_images for container in containers)
        state = {"waiting": {"reason": "ImagePullBackOff"}} if is_bad else {"running": {}}
        ready = "False" if is_bad else "True"
        return {
            "phase": "Pending" if is_bad else "Running",
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": name, "status": ready} for name in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
            "containerStatuses": [
                {"name": container["name"], "image": container["image"], "imageID": "", "ready": not is_bad, "restartCount": 0, "state": state} for container in containers
            ],
        }


def free_ports(count):
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]
