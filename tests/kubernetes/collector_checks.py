"""The real Collector with the configuration, the arguments and the variables of the manifests."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from overlay import variables

MOUNT = "/etc/otelcol"
# The token and the certificate that a pod gets do not exist here.
WITHOUT_TOKEN = "{receivers: {kubelet_stats: {auth_type: none}}, processors: {k8s_attributes: {auth_type: none}}}"


def complaints(program, overlay):
    """Returns what the Collector reports about the configuration of each of its pods."""
    found = []
    for workload in overlay.workloads():
        for container in workload.all_containers():
            if "collector" in container["image"]:
                found += [f"{workload}: {line}" for line in rejected(program, overlay, workload, container)]
    return found


def rejected(program, overlay, workload, container):
    """Returns why the Collector rejects the configuration of a container."""
    (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == MOUNT]
    (volume,) = [volume for volume in workload.pod["volumes"] if volume["name"] == mount["name"]]
    texts = overlay.find("ConfigMap", volume["configMap"]["name"], workload.namespace)["data"]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text)
        arguments = [argument.replace(MOUNT, folder) for argument in container["args"]]
        if f"--config={folder}/agent.yaml" in arguments:
            (Path(folder) / "without-token.yaml").write_text(WITHOUT_TOKEN)
            arguments.append(f"--config={folder}/without-token.yaml")
        values = {name: value if isinstance(value, str) else "value" for name, value in variables(overlay, workload, container).items()}
        # The folders of the container.
        values |= {name: folder for name in ("QUEUE_DIRECTORY", "HOST_ROOT") if name in values}
        result = subprocess.run([program, "validate", *arguments], env={"PATH": os.environ["PATH"], **values}, capture_output=True, text=True, timeout=60)
    if result.returncode == 0:
        return []
    return [re.sub(r"\s+", " ", result.stderr[-600:]) or f"exit code {result.returncode}"]


# A text in the manifests of an overlay, and a replacement that the Collector must reject.
MISTAKES = [
    ("grafana", "--config=/etc/otelcol/backend-loki.yaml", "--config=/etc/otelcol/loki.yaml"),
    ("grafana", '"value": "file_storage"', '"value": "storage"'),
    ("local", ', "--config=/etc/otelcol/backend-discard.yaml"', ""),
    ("grafana", "kubelet_stats:\\n    auth_type", "kubelet_stats:\\n    auth"),
]
