"""kube-score over an overlay: practices that no schema contains."""

import json
import subprocess

# Checks of kube-score that are not followed, with the reasons.
IGNORED = {
    "container-image-pull-policy": "tags are versions that never change, and images on k3s and kind are imported",
    "container-resources": "a CPU limit throttles a program while its node is idle; manifest_rules checks all other resources",
    "pod-networkpolicy": "collectors reach the API server, kubelets and backends, whose addresses differ in each cluster",
    "deployment-replicas": "the server for load is off by default",
    "deployment-has-host-podantiaffinity": "topologySpreadConstraints spread the pods",
    "statefulset-has-host-podantiaffinity": "there is one Tempo",
    "statefulset-has-poddisruptionbudget": "there is one Tempo, whose eviction a budget would block",
}
# Those of single overlays.
IGNORED_IN = {
    "k3s": {"horizontalpodautoscaler-replicas": "there is usually one node"},
    "local": {
        "deployment-has-poddisruptionbudget": "there is one pod",
        "deployment-strategy": "a second pod would have a queue of its own",
    },
}
# Those of single objects.
IGNORED_OF = {
    ("networkpolicy-targets-pod", "certificate-challenge"): "cert-manager creates the pods",
}


def complaints(program, name, manifests):
    """Returns what kube-score reports about the manifests of an overlay, given as text."""
    ignored = [option for check in IGNORED | IGNORED_IN.get(name, {}) for option in ("--ignore-test", check)]
    command = [program, "score", "--kubernetes-version", "v1.35", "--output-format", "json", *ignored, "-"]
    found = subprocess.run(command, input=manifests, capture_output=True, text=True, timeout=60)
    if found.returncode not in (0, 1) or not found.stdout:
        raise RuntimeError(f"kube-score failed: {found.stderr}")
    return [
        f"{entry['object_name']}: {check['check']['name']}: {comment['summary']}"
        for entry in json.loads(found.stdout)
        for check in entry["checks"]
        if (check["check"]["id"], entry["object_meta"]["name"]) not in IGNORED_OF
        # 10 is "all ok".
        if not check["skipped"] and check["grade"] < 10
        for comment in check["comments"] or [{"summary": ""}]
    ]
