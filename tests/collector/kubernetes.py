"""A fake Kubernetes API server and kubelet, with one node and one pod. They answer only the agent's requests."""

import json
import threading
import time
import urllib.parse

from servers import Handler, Server

NODE, CLUSTER = "node-1", "cluster-1"
NAMESPACE, DEPLOYMENT = "onboarding", "onboarding-api"
# The name of a replica set is that of its deployment with a hash of the pod template. The name of a
# pod starts with that of its replica set.
HASH = "5d8f6c9b7d"
POD, UID = f"{DEPLOYMENT}-{HASH}-x2x4z", "6b1f7f7e-3c55-4d53-9d4e-0d4c6c1b8f11"
# Senders on this machine have this address.
ADDRESS = "127.0.0.1"

PODS = {
    "kind": "PodList",
    "apiVersion": "v1",
    "metadata": {"resourceVersion": "1"},
    "items": [
        {
            "metadata": {
                "name": POD,
                "namespace": NAMESPACE,
                "uid": UID,
                "resourceVersion": "1",
                "labels": {"pod-template-hash": HASH},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{DEPLOYMENT}-{HASH}", "uid": "1", "controller": True}
                ],
            },
            "spec": {"nodeName": NODE, "containers": [{"name": DEPLOYMENT, "image": "onboarding-api"}]},
            "status": {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]},
        }
    ],
}


class Kubernetes:
    """Runs the fake servers during a `with` block."""

    def __enter__(self):
        self.closed = threading.Event()
        self.server = Server(Requests, self)
        return self

    def __exit__(self, *_):
        self.closed.set()
        self.server.close()

    def configuration(self):
        """Returns a file for KUBECONFIG."""
        cluster = {"name": CLUSTER, "cluster": {"server": f"http://{self.server.address}"}}
        context = {"name": CLUSTER, "context": {"cluster": CLUSTER, "user": ""}}
        return json.dumps({"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "current-context": CLUSTER})


class Requests(Handler):
    """Responds to the requests of the agent's two Kubernetes components."""

    def do_GET(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        if address.path == "/stats/summary":
            self.respond_with(summary())
        elif address.path != "/api/v1/pods" or query.get("fieldSelector") != f"spec.nodeName={NODE}":
            self.respond(404)
        elif "sendInitialEvents" in query:
            # The client then asks for a list, as it does with older servers.
            self.respond(422)
        elif query.get("watch"):
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            self.server.owner.closed.wait()
        else:
            self.respond_with(PODS)

    def respond_with(self, value):
        self.respond(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def summary():
    """Returns the kubelet's measurements."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    usage = {"cpu": {"time": now, "usageNanoCores": 5_000_000, "usageCoreNanoSeconds": 10**9}, "memory": {"time": now, "workingSetBytes": 2**20}}
    pod = {"podRef": {"name": POD, "namespace": NAMESPACE, "uid": UID}, "startTime": now, "containers": []}
    return {"node": {"nodeName": NODE, "startTime": now} | usage, "pods": [pod | usage]}
