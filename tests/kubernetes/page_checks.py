"""The objects that commands of kubectl in the guide name exist in the overlays."""

import re

# The kinds in commands, and those in the manifests. A pod is named after its StatefulSet.
KINDS = {"deployment": "Deployment", "daemonset": "DaemonSet", "service": "Service", "cronjob": "CronJob", "pod": "StatefulSet"}
PAGES = ("kubernetes.md", "load.md")
# The agent of Coralogix' chart.
EXTERNAL = {("DaemonSet", "coralogix-opentelemetry-agent", "observability")}
TARGET = re.compile(rf"\b({'|'.join(KINDS)})/([a-z0-9-]+)")


def named_objects(text):
    """Yields each command with an object, and the object's kind, name and namespace."""
    for command in re.findall(r"kubectl (?!kustomize)[^`\n]*", text.replace("\\\n", "")):
        namespace = re.search(r"(?:-n|--namespace)[ =](\S+)", command)
        for kind, name in TARGET.findall(command):
            yield command, (KINDS[kind], re.sub(r"-\d+$", "", name) if kind == "pod" else name, namespace and namespace[1])


def unknown_objects(text, overlays):
    """Returns the commands that name an object which is in no overlay."""
    return [command for command, named in named_objects(text) if named not in EXTERNAL and not any(overlay.find(*named) for overlay in overlays)]


def results(root, overlays):
    """Yields the title of each check and its complaints."""
    for page in PAGES:
        text = (root / "docs" / page).read_text()
        complaints = unknown_objects(text, overlays) if list(named_objects(text)) else ["no command names an object"]
        yield f"objects in the commands of docs/{page} exist", complaints
    mistakes = ["kubectl logs -n onboarding deployment/api", "kubectl logs -n onboarding daemonset/collector-agent", "kubectl port-forward service/onboarding-api 80"]
    yield "commands with other objects are found", [mistake for mistake in mistakes if unknown_objects(mistake, overlays) != [mistake]]
