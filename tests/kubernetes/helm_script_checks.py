"""Checks of the scripts in infra/helm, with programs in place of Helm and kubectl that record how they are called."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

LIMIT_SECONDS = 60
# Appends its name and arguments to a file, one call a line, and the dependencies of a chart that it renders. Its answers
# are files in ANSWERS, named after the first two arguments: the output, and the exit code if it is not 0.
STAND_IN = """#!/bin/sh
echo "$(basename "$0")" "$@" >>"$CALLS"
if [ "$1" = template ]; then grep -e "- name:" "$3/Chart.yaml" >>"$CALLS"; fi
answer="$ANSWERS/$(basename "$0")-$1-$2"
if [ -f "$answer" ]; then cat "$answer"; fi
if [ -f "$answer.code" ]; then cat "$answer" >&2; exit "$(cat "$answer.code")"; fi
"""
NOT_FOUND = 'Error from server (NotFound): {} "{}" not found'
SETTINGS = ("--domain", "us1.coralogix.com", "--cluster", "shop")
# An encoded value, as kubectl prints it.
SECRET = {"kubectl-get-secret": "a2V5"}
HELM = {"helm-version---template": "v3.21.0"}

INTEGRATION = """name: otel-integration
version: {version}
dependencies:
  - name: opentelemetry-operator
    version: "1.0.0"
  - name: opentelemetry-collector
    alias: opentelemetry-agent
    version: "1.0.0"
sources:
  - https://example.com
"""


class Run:
    """A run of a script with the stand-ins, whose answers are given."""

    def __init__(self, root, script, *arguments, answers=None, code=0, folder=None):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            for name in ("helm", "kubectl"):
                program = scratch / "bin" / name
                program.parent.mkdir(exist_ok=True)
                program.write_text(STAND_IN)
                program.chmod(0o755)
            for name, answer in (answers or {}).items():
                text, exit_code = answer if isinstance(answer, tuple) else (answer, None)
                (scratch / name).write_text(text)
                if exit_code:
                    (scratch / f"{name}.code").write_text(str(exit_code))
            calls = scratch / "calls"
            calls.touch()
            environment = {**os.environ, "PATH": f"{scratch / 'bin'}:{os.environ['PATH']}", "CALLS": str(calls), "ANSWERS": str(scratch)}
            done = subprocess.run(
                [root / "infra/helm" / script, *arguments], env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS
            )
            self.output, self.errors = done.stdout, done.stderr
            self.calls = calls.read_text().splitlines()
        assert done.returncode == code, f"exit code {done.returncode}, expected {code}: {done.stdout}{done.stderr}"

    def call(self, start):
        """Returns the only call that starts with a text."""
        (found,) = [call for call in self.calls if call.startswith(start)] or [None]
        assert found, f"no call {start}: {self.calls}"
        return found


def install(root, *arguments, answers=None, **options):
    return Run(root, "install-coralogix.sh", *arguments, answers={**HELM, **SECRET, **(answers or {})}, **options)


def the_release_is_installed(root):
    """install-coralogix.sh installs the pinned chart with the values, and waits for both collectors."""
    run = install(root, *SETTINGS, "--environment", "staging")
    helm = run.call("helm upgrade").split()
    assert helm[:5] == ["helm", "upgrade", "--install", "coralogix", "otel-integration"], helm
    chart = (root / "infra/helm/chart.sh").read_text()
    options = dict(zip(helm[5:], helm[6:]))
    assert options["--version"] == re.search(r"^CHART_VERSION=(.*)$", chart, re.MULTILINE).group(1), helm
    assert options["--repo"] == re.search(r"^CHART_REPOSITORY=(.*)$", chart, re.MULTILINE).group(1), helm
    assert options["--namespace"] == "observability" and "--atomic" in helm, helm
    assert pathlib.Path(options["--values"]).samefile(root / "infra/helm/otel-integration-values.yaml"), helm
    for setting in ("global.domain=us1.coralogix.com", "global.clusterName=shop", "global.deploymentEnvironmentName=staging"):
        assert setting in helm, helm
    waited = [call.split()[3] for call in run.calls if call.startswith("kubectl rollout status")]
    assert waited == ["daemonset/coralogix-opentelemetry-agent", "deployment/coralogix-opentelemetry-collector"], waited
    assert run.calls.index(run.call("kubectl get secret")) < run.calls.index(run.call("helm upgrade")), run.calls
    assert not any("create" in call for call in run.calls), run.calls


def a_newer_helm_has_another_option(root):
    """install-coralogix.sh uses the option of Helm 4 with Helm 4, and refuses Helm 2."""
    helm = install(root, *SETTINGS, answers={"helm-version---template": "v4.0.0"}).call("helm upgrade")
    assert "--rollback-on-failure" in helm and "--atomic" not in helm, helm
    assert "expected version 3 or 4" in install(root, *SETTINGS, answers={"helm-version---template": "v2.17.0"}, code=2).errors


def a_missing_namespace_is_created(root):
    """install-coralogix.sh creates the namespace if it is missing, and only then."""
    run = install(root, *SETTINGS, answers={"kubectl-get-namespace": (NOT_FOUND.format("namespaces", "observability"), 1)})
    run.call("kubectl create namespace observability")
    run.call("kubectl label namespace observability name=observability")
    run = install(root, *SETTINGS, answers={"kubectl-get-namespace": ("connection refused", 1)}, code=1)
    assert "cannot be read: connection refused" in run.errors and not any("create" in call for call in run.calls), run.errors


def a_namespace_that_forbids_the_agent_is_refused(root):
    """install-coralogix.sh stops if the namespace's Pod Security level forbids the agent, which uses the node's network."""
    for level in ("baseline", "restricted"):
        run = install(root, *SETTINGS, answers={"kubectl-get-namespace": level}, code=1)
        command = "kubectl label namespace observability pod-security.kubernetes.io/enforce=privileged --overwrite"
        assert command in run.errors and not any(call.startswith("helm upgrade") for call in run.calls), run.errors
    run = install(root, *SETTINGS, answers={"kubectl-get-namespace": "privileged"})
    assert run.call("kubectl get namespace").endswith(r"jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}"), run.calls
    run.call("helm upgrade")


def a_missing_secret_is_reported(root):
    """install-coralogix.sh stops if the secret or its key is missing, and prints the command that creates it."""
    command = 'kubectl create secret generic coralogix-keys --namespace observability --from-literal=PRIVATE_KEY="$CORALOGIX_SEND_YOUR_DATA_KEY"'
    for answer in ((NOT_FOUND.format("secrets", "coralogix-keys"), 1), ""):
        run = install(root, *SETTINGS, answers={"kubectl-get-secret": answer}, code=1)
        assert command in run.errors and not any(call.startswith("helm upgrade") for call in run.calls), run.errors
    run = install(root, *SETTINGS, answers={"kubectl-get-secret": ("secrets is forbidden", 1)}, code=1)
    assert "cannot be read: secrets is forbidden" in run.errors and "create" not in run.errors, run.errors


def invalid_settings_are_refused(root):
    """install-coralogix.sh refuses a domain with ingress., the examples of the values, and unknown options, without a call."""
    with tempfile.TemporaryDirectory() as scratch:
        file = pathlib.Path(scratch, "values.yaml")
        file.write_text("global:\n  domain: 'ingress.eu2.coralogix.com' # ours\n  clusterName: shop\n")
        refused = {
            ("--domain", "ingress.eu2.coralogix.com", "--cluster", "shop"): "would send to ingress.ingress.eu2.coralogix.com, which does not exist. Use eu2.coralogix.com",
            ("--domain", "https://ingress.eu2.coralogix.com:443", "--cluster", "shop"): "remove 'ingress.'",
            ("--values", str(file)): "would send to ingress.ingress.eu2.coralogix.com",
            ("--domain", "https://eu2.coralogix.com", "--cluster", "shop"): "expected a domain without a scheme",
            ("--domain", "eu2", "--cluster", "shop"): "expected a domain such as",
            ("--cluster", "shop"): "no domain",
            ("--domain", "eu2.coralogix.com"): "no cluster name",
            ("--domain", "eu2.coralogix.com", "--cluster", "example-cluster"): "is an example",
            ("--domain",): "expected a value",
            ("--values", "/missing.yaml"): "is not a file",
            ("--force",): "usage:",
        }
        for arguments, reason in refused.items():
            run = install(root, *arguments, code=2)
            assert reason in run.errors and not run.calls, (arguments, run.errors, run.calls)


def settings_can_be_in_a_file(root):
    """install-coralogix.sh reads domain and cluster from a values file, which it passes to Helm after its own."""
    with tempfile.TemporaryDirectory() as scratch:
        pathlib.Path(scratch, "own.yaml").write_text("global:\n  domain: us1.coralogix.com\n  clusterName: shop\n")
        # Helm would install this folder in place of the chart in the repository.
        pathlib.Path(scratch, "otel-integration").mkdir()
        helm = install(root, "--values", "own.yaml", "--", "--debug", folder=scratch).call("helm upgrade").split()
        files = [value for option, value in zip(helm, helm[1:]) if option == "--values"]
        assert [pathlib.Path(file).name for file in files] == ["otel-integration-values.yaml", "own.yaml"], files
        assert pathlib.Path(files[1]).is_absolute() and helm[-1] == "--debug" and "--set-string" not in helm, helm


def failures_are_reported(root):
    """install-coralogix.sh fails if Helm fails or a collector is not ready, and says where to look."""
    run = install(root, *SETTINGS, answers={"helm-upgrade---install": ("timed out waiting for the condition", 1)}, code=1)
    assert "is not deployed" in run.errors and "kubectl get events" in run.errors and not any("rollout" in call for call in run.calls), run.errors
    run = install(root, *SETTINGS, answers={"kubectl-rollout-status": ("0 of 3 updated", 1)}, code=1)
    assert "kubectl logs daemonset/coralogix-opentelemetry-agent" in run.errors, run.errors


def a_dry_run_calls_nothing(root):
    """--dry-run prints the calls of both scripts without making them."""
    run = install(root, *SETTINGS, "--dry-run")
    assert not run.calls and "helm upgrade --install coralogix otel-integration" in run.output, (run.calls, run.output)
    run = Run(root, "render.sh", "--dry-run")
    assert not run.calls and "helm pull otel-integration" in run.output and "helm template" in run.output, (run.calls, run.output)


def the_help_is_printed(root):
    """--help prints the usage of both scripts without a call."""
    for script in ("install-coralogix.sh", "render.sh"):
        run = Run(root, script, "--help")
        assert run.output.startswith(f"usage: infra/helm/{script}") and not run.calls, run.output


def the_rendered_chart_is_written(root):
    """render.sh writes what Helm renders, with the versions and the hashes, from the folders of two charts."""
    golden = root / "tests/kubernetes/golden/otel-integration.yaml"
    body = golden.read_text().partition("---\n")[2]
    version = re.search(r"^# chart: \S+ (\S+)$", golden.read_text(), re.MULTILINE).group(1)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        charts = {"integration": INTEGRATION.format(version=version), "old": "version: 0.0.1\n", "collector": "version: 1.0.0\n"}
        for name, text in charts.items():
            (scratch / name).mkdir()
            (scratch / name / "Chart.yaml").write_text(text)
        output = scratch / "out" / "rendered.yaml"
        answers = {"helm-template-coralogix": f"---\n{body}"}
        run = Run(root, "render.sh", "--output", output, scratch / "integration", scratch / "collector", answers=answers)
        assert output.read_text() == golden.read_text(), "the file differs from the one in the repository"
        assert "--kube-version" in run.call("helm template"), run.calls
        dependencies = [call.split()[-1] for call in run.calls if "- name:" in call]
        assert dependencies == ["opentelemetry-collector"], dependencies
        run = Run(root, "render.sh", "--output", output, scratch / "old", scratch / "collector", answers=answers, code=2)
        assert f"expected version {version}, found 0.0.1" in run.errors and not run.calls, run.errors
        run = Run(root, "render.sh", "--output", output, scratch / "integration", scratch, answers=answers, code=2)
        assert "found no Chart.yaml" in run.errors, run.errors
        before = hashlib.sha256(output.read_bytes()).digest()
        Run(root, "render.sh", "--output", output, scratch / "integration", scratch / "collector", answers={"helm-template-coralogix": ("invalid values", 1)}, code=1)
        assert hashlib.sha256(output.read_bytes()).digest() == before, "a failed run has changed the file"


CHECKS = [
    the_release_is_installed,
    a_newer_helm_has_another_option,
    a_missing_namespace_is_created,
    a_namespace_that_forbids_the_agent_is_refused,
    a_missing_secret_is_reported,
    invalid_settings_are_refused,
    settings_can_be_in_a_file,
    failures_are_reported,
    a_dry_run_calls_nothing,
    the_help_is_printed,
    the_rendered_chart_is_written,
]

# Texts of the scripts, replacements, and the check that must detect the difference.
MISTAKES = [
    ("install-coralogix.sh", ' --version "$CHART_VERSION"', "", the_release_is_installed),
    ("install-coralogix.sh", "v3.*) rollback=--atomic ;;\n", "", the_release_is_installed),
    ("install-coralogix.sh", "rollback=--rollback-on-failure", "rollback=--atomic", a_newer_helm_has_another_option),
    ("install-coralogix.sh", 'kubectl create namespace "$NAMESPACE"\n      ', "", a_missing_namespace_is_created),
    ("install-coralogix.sh", "baseline | restricted)", "restricted)", a_namespace_that_forbids_the_agent_is_refused),
    ("install-coralogix.sh", 'elif [ -z "$key" ]', "elif false", a_missing_secret_is_reported),
    ("install-coralogix.sh", "*ingress.*)", "ingress-*)", invalid_settings_are_refused),
    ("install-coralogix.sh", '[ "$cluster_to_use" != "$example_cluster" ]', "true", invalid_settings_are_refused),
    ("install-coralogix.sh", 'for file in ${files[@]+"${files[@]}"}; do options', "for file in; do options", settings_can_be_in_a_file),
    ("install-coralogix.sh", 'fail "$pods is not ready', 'echo "$pods is not ready', failures_are_reported),
    ("install-coralogix.sh", "--dry-run) dry_run=yes", "--dry-run) dry_run=", a_dry_run_calls_nothing),
    ("render.sh", "--dry-run) dry_run=yes", "--dry-run) dry_run=", a_dry_run_calls_nothing),
    ("render.sh", "usage: infra/helm/render.sh", "usage: render.sh", the_help_is_printed),
    ("render.sh", '!= "$CHART_VERSION"', '= ""', the_rendered_chart_is_written),
    ("render.sh", "!listed || kept", "1", the_rendered_chart_is_written),
    ("render.sh", '# values: sha256:$(sha256 "$values")', "# values: sha256:", the_rendered_chart_is_written),
]


def outcome(check, root):
    """Returns the complaints of a check."""
    try:
        check(root)
    except (AssertionError, KeyError, IndexError, ValueError, OSError, subprocess.SubprocessError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def undetected(root, script, text, replacement, check):
    """Returns a complaint if the check passes with a copy of the scripts that has a mistake."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        shutil.copytree(root / "infra/helm", scratch / "infra/helm")
        shutil.copytree(root / "tests/kubernetes/golden", scratch / "tests/kubernetes/golden")
        file = scratch / "infra/helm" / script
        content = file.read_text()
        if text not in content:
            return [f"{script} does not contain {text}"]
        file.write_text(content.replace(text, replacement))
        return [] if outcome(check, scratch) else [f"{check.__name__} did not detect it"]


def results(root):
    """Yields the title of each check and its complaints."""
    for check in CHECKS:
        yield f"infra/helm: {check.__doc__.splitlines()[0]}", outcome(check, root)
    for script, text, replacement, check in MISTAKES:
        yield f"infra/helm: detects {replacement.strip()!r} in place of {text.strip()!r} in {script}", undetected(root, script, text, replacement, check)
    unproven = {check.__name__ for check in CHECKS} - {check.__name__ for *_, check in MISTAKES}
    yield "infra/helm: every check can fail", [f"no mistake for {name}" for name in sorted(unproven)]
