"""checkov over the manifests: practices that neither the schemas nor kube-score contain."""

import json
import subprocess
import tempfile
from pathlib import Path

import yaml

SETTINGS = Path(__file__).with_name("checkov.yaml")


def complaints(program, overlays):
    """Returns what checkov reports about overlays."""
    with tempfile.TemporaryDirectory() as folder:
        for overlay in overlays:
            (Path(folder) / f"{overlay.name}.yaml").write_text(yaml.safe_dump_all(overlay.manifests))
        command = [program, "--config-file", SETTINGS, "--skip-download", "--output", "json", "--directory", folder]
        found = subprocess.run(command, capture_output=True, text=True, timeout=180)
        try:
            report = json.loads(found.stdout)
            summary = report["summary"]
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeError(f"checkov failed: {found.stdout[-500:]}{found.stderr[-500:]}") from error
        files = {check["file_path"].lstrip("/") for check in report["results"]["passed_checks"]}
        unread = {f"{overlay.name}.yaml" for overlay in overlays} - files
        if summary["parsing_errors"] or unread:
            raise RuntimeError(f"checkov did not read {sorted(unread) or summary}")
        return [f"{check['file_path']}: {check['resource']}: {check['check_id']} {check['check_name']}" for check in report["results"]["failed_checks"]]
