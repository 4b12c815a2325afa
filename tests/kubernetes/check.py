"""Runs the checks and prints a summary. Started by `run.sh`.

    check.py ROOT KUSTOMIZE KUBE_SCORE CHECKOV COLLECTOR SERVICES API_SERVER

SERVICES is the folder with both services and `baton`, and API_SERVER that of kubectl, etcd and the API server.
CHECKOV is empty if it cannot be installed, COLLECTOR if it cannot be built, and API_SERVER unless it was requested.
Their checks are then reported as skipped.
"""

import json
import pathlib
import sys

import api_server_checks
import checkov_checks
import collector_checks
import component_rules
import helm_checks
import helm_collector_checks
import helm_script_checks
import kube_score
import manifest_rules
import page_checks
import reference_rules
import script_checks
from checks import Checks
from overlay import OPTIONAL_COMPONENTS, OVERLAYS, Overlay, build, build_with_components
from pipeline import Paths

RULES = manifest_rules.RULES + reference_rules.RULES + component_rules.RULES
MISTAKES = manifest_rules.MISTAKES + reference_rules.MISTAKES + component_rules.MISTAKES
# A mistake that kube-score must report.
BAD_PRACTICE = ('"allowPrivilegeEscalation": false', '"privileged": true')


def title(function):
    return function.__doc__.splitlines()[0].rstrip(".")


def check_overlay(checks, overlay, text, program):
    for rule in RULES:
        found = rule(overlay)
        checks.check(f"{overlay.name}: {title(rule)}", not found, "; ".join(found))
    found = kube_score.complaints(program, overlay.name, text)
    checks.check(f"{overlay.name}: kube-score has no complaint", not found, "; ".join(found))


def check_mistakes(checks, overlays, program):
    for rule, name, text, replacement in MISTAKES:
        found = rule(overlays[name].with_text_replaced(text, replacement))
        checks.check(f"{rule.__name__} reports {replacement[:100]!r} in {name}", found, "nothing was reported")
    unproven = [rule.__name__ for rule in RULES if rule not in {mistake[0] for mistake in MISTAKES}]
    checks.check("every rule can fail", not unproven, unproven)
    broken = overlays["grafana"].with_text_replaced(*BAD_PRACTICE)
    found = kube_score.complaints(program, broken.name, "\n---\n".join(json.dumps(manifest) for manifest in broken.manifests))
    checks.check(f"kube-score reports {BAD_PRACTICE[1]!r}", any("privileged" in complaint for complaint in found), found)


def check_data_sources(checks, root):
    """The data sources for Grafana's sidecar are those of infra/grafana."""
    folder = root / "infra/kubernetes/components/grafana"
    sys.path.insert(0, str(folder))
    import data_sources

    written = (folder / "data-sources.yaml").read_text()
    checks.check("data-sources.yaml is what data_sources.py writes", written == data_sources.data_sources(), "run data_sources.py")


def report(checks, results):
    for name, complaints in results:
        checks.check(name, not complaints, complaints)


def check_with_checkov(checks, overlays, program):
    found = checkov_checks.complaints(program, overlays.values())
    checks.check("checkov has no complaint about the overlays", not found, "; ".join(found))
    broken = overlays["grafana"].with_text_replaced(*BAD_PRACTICE)
    found = checkov_checks.complaints(program, [broken])
    checks.check(f"checkov reports {BAD_PRACTICE[1]!r}", any("CKV_K8S_16" in complaint for complaint in found), found)


def check_with_collector(checks, root, overlays, program):
    for overlay in overlays.values():
        found = collector_checks.complaints(program, overlay)
        checks.check(f"{overlay.name}: the Collector accepts the configuration of its pods", not found, "; ".join(found))
    for name, text, replacement in collector_checks.MISTAKES:
        found = collector_checks.complaints(program, overlays[name].with_text_replaced(text, replacement))
        checks.check(f"the Collector rejects {replacement!r} in place of {text!r} in {name}", found, "nothing was reported")
    report(checks, helm_collector_checks.results(root, program))


def read_overlays(root, kustomize):
    """Returns the manifests of each overlay by its name, as text."""
    texts = {name: build(kustomize, root / "infra/kubernetes/overlays" / name) for name in OVERLAYS}
    # The components that no overlay contains, in the overlay with the most objects.
    return texts | {"components": build_with_components(kustomize, root, "grafana", OPTIONAL_COMPONENTS)}


def check_components(checks, root):
    """Each component is in an overlay, or is built with one."""
    folder = root / "infra/kubernetes"
    named = "".join(path.read_text() for path in folder.glob("overlays/*/kustomization.yaml"))
    unused = [path.name for path in (folder / "components").iterdir() if path.name not in OPTIONAL_COMPONENTS and f"components/{path.name}\n" not in named]
    checks.check("each component is built", not unused, unused)


def main():
    if len(sys.argv) != 8:
        print("usage: check.py ROOT KUSTOMIZE KUBE_SCORE CHECKOV COLLECTOR SERVICES API_SERVER", file=sys.stderr)
        return 2
    root, kustomize, program = map(pathlib.Path, sys.argv[1:4])
    checkov, collector, services, api_server = sys.argv[4:]
    checks, skipped = Checks(), 0
    texts = read_overlays(root, kustomize)
    overlays = {name: Overlay.parse(name, text) for name, text in texts.items()}
    for name, overlay in overlays.items():
        check_overlay(checks, overlay, texts[name], program)
    check_mistakes(checks, overlays, program)
    check_components(checks, root)
    check_data_sources(checks, root)
    if checkov:
        check_with_checkov(checks, overlays, checkov)
    else:
        print("skipped the checks with checkov, which cannot be installed")
        skipped += 1
    if collector:
        check_with_collector(checks, root, overlays, collector)
        paths = Paths(collector, f"{services}/baton", pathlib.Path(services), root / "infra/collector")
        report(checks, script_checks.results(root, kustomize, sys.executable, paths, overlays["local"]))
    else:
        print("skipped the checks with the Collector, which cannot be built")
        skipped += 1
    if api_server:
        report(checks, api_server_checks.results(root, kustomize, pathlib.Path(api_server)))
    else:
        print("skipped the checks with an API server, whose compilation takes ten minutes: KUBERNETES_API_SERVER is not 1")
        skipped += 1
    report(checks, page_checks.results(root, list(overlays.values())))
    report(checks, helm_checks.results(root, overlays["coralogix"].manifests))
    report(checks, helm_script_checks.results(root))
    print(f"{checks.passed} passed, {checks.failed} failed{f', {skipped} skipped' if skipped else ''}")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
