"""Rules for the workflows that no linter has. Each returns its complaints."""

import re
from pathlib import Path
from typing import NamedTuple

import yaml

# What each job may ask for beyond reading the repository.
GRANTED = {
    ("delivery.yml", "images"): {"id-token"},
    ("delivery.yml", "sign"): {"id-token"},
    ("delivery.yml", "stage"): {"id-token"},
    ("delivery.yml", "production"): {"id-token"},
    ("delivery.yml", "kubernetes-stage"): {"id-token"},
    ("delivery.yml", "kubernetes-production"): {"id-token"},
    ("deploy-overlay.yml", "deploy"): {"id-token"},
    ("release.yml", "files"): {"id-token", "attestations"},
    ("release.yml", "publish"): {"contents"},
}
SCRIPT = re.compile(r"(?:^|[\s;|&])((?:\.github|\.ci|infra|tests)/[\w./-]*)")
EXPRESSION = re.compile(r"\b(vars|secrets|needs|steps)\.([\w-]+)(?:\.outputs\.([\w-]+))?")


class Files(NamedTuple):
    """The texts of the workflows by name, the page about delivery, and the folder of the scripts."""

    workflows: dict
    page: str
    root: Path

    def parsed(self):
        return {name: yaml.safe_load(text) for name, text in self.workflows.items()}

    def jobs(self):
        """Yields the workflow, the name and the content of each job."""
        for workflow, content in self.parsed().items():
            for name, job in content["jobs"].items():
                yield workflow, name, job


def read(root):
    folder = root / ".github/workflows"
    return Files({path.name: path.read_text() for path in sorted(folder.glob("*.yml"))}, (root / "docs/delivery.md").read_text(), root)


def steps(job):
    return job.get("steps", [])


def time_limits(files):
    """Each job has a time limit, or is one of another workflow."""
    return [f"{workflow}: {name} has no time limit" for workflow, name, job in files.jobs() if "timeout-minutes" not in job and "uses" not in job]


def permissions(files):
    """No workflow has a permission that its jobs do not need, and no job more than it is granted."""
    complaints = [f"{name}: permissions of the workflow are {content.get('permissions')}" for name, content in files.parsed().items() if content.get("permissions") not in ({}, {"contents": "read"})]
    for workflow, name, job in files.jobs():
        found = {permission for permission, level in job.get("permissions", {}).items() if level == "write"}
        if found != GRANTED.get((workflow, name), set()):
            complaints.append(f"{workflow}: {name} may write {sorted(found)}, expected {sorted(GRANTED.get((workflow, name), set()))}")
    return complaints


def pinned_actions(files):
    """Each action of others is pinned by its commit, with its version in a comment."""
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
    used = [(name, line.partition("uses: ")[2].strip()) for name, text in files.workflows.items() for line in text.splitlines() if "uses: " in line]
    return [f"{name}: {action} is not pinned" for name, action in used if not action.startswith("./") and not pinned.match(action)]


def no_credentials_in_checkouts(files):
    """A checkout leaves no token in its folder."""
    return [
        f"{workflow}: {name} keeps the token"
        for workflow, name, job in files.jobs()
        for step in steps(job)
        if step.get("uses", "").startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials") is not False
    ]


def scripts(files):
    """Each script that a step runs exists, and can be run."""
    complaints = []
    for workflow, name, job in files.jobs():
        for step in steps(job):
            for script in SCRIPT.findall(step.get("run", "")):
                path = files.root / script
                if not path.exists() or path.suffix in (".sh", "") and path.is_file() and not path.stat().st_mode & 0o100:
                    complaints.append(f"{workflow}: {name} runs {script}, which does not exist or cannot be run")
    return complaints


def expressions(files):
    """Each job, step and output that an expression names exists."""
    complaints = []
    for workflow, name, job in files.jobs():
        needed = job.get("needs", [])
        needed = {needed} if isinstance(needed, str) else set(needed)
        jobs = files.parsed()[workflow]["jobs"]
        complaints += [f"{workflow}: {name} needs {other}" for other in sorted(needed - set(jobs))]
        ids = {step["id"] for step in steps(job) if "id" in step}
        for kind, target, output in EXPRESSION.findall(yaml.safe_dump(job)):
            if kind == "needs" and (target not in needed or output not in jobs[target].get("outputs", {})):
                complaints.append(f"{workflow}: {name} reads the output {output} of {target}")
            if kind == "steps" and target not in ids:
                complaints.append(f"{workflow}: {name} reads an output of the step {target}")
    return complaints


def short_lived_keys(files):
    """AWS is reached with a role, and not with keys."""
    complaints = [f"{name}: {word}" for name, text in files.workflows.items() for word in ("aws-access-key-id", "aws-secret-access-key", "AWS_ACCESS_KEY_ID") if word in text]
    for workflow, name, job in files.jobs():
        for step in steps(job):
            if "configure-aws-credentials@" in step.get("uses", "") and "role-to-assume" not in step.get("with", {}):
                complaints.append(f"{workflow}: {name} has no role")
    return complaints


def documented(files):
    """docs/delivery.md lists each variable and secret of the workflows, and no others."""
    used = {name for text in files.workflows.values() for kind, name, _ in EXPRESSION.findall(text) if kind in ("vars", "secrets")}
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", files.page, flags=re.MULTILINE))
    return [f"{name} is not documented" for name in sorted(used - listed)] + [f"{name} is not used" for name in sorted(listed - used)]


def no_moving_tags(files):
    """No image has the tag `latest`, and each deployment names a commit."""
    return [f"{name}: {line.strip()}" for name, text in files.workflows.items() for line in text.splitlines() if re.search(r":latest\b|@(main|master)\b", line)]


def approvals(files):
    """Each deployment runs in an environment of GitHub, and one after the other."""
    complaints = []
    for workflow, name, job in files.jobs():
        if "deploy" in yaml.safe_dump(steps(job)) and "DEPLOY_ROLE" in yaml.safe_dump(job) and "environment" not in job:
            complaints.append(f"{workflow}: {name} has no environment")
    for name, content in files.parsed().items():
        if name != "ci.yml" and content.get("concurrency", {}).get("cancel-in-progress") is not False:
            complaints.append(f"{name}: a deployment can be cancelled halfway")
    return complaints


RULES = [time_limits, permissions, pinned_actions, no_credentials_in_checkouts, scripts, expressions, short_lived_keys, documented, no_moving_tags, approvals]

# A text in a workflow, its replacement, and the rule that must report it.
MISTAKES = [
    (time_limits, "weekly.yml", "    timeout-minutes: 15\n", ""),
    (permissions, "delivery.yml", "permissions: {}", "permissions: write-all"),
    (permissions, "release.yml", "      contents: write", "      contents: write\n      packages: write"),
    (pinned_actions, "ci.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7"),
    (no_credentials_in_checkouts, "delivery.yml", "persist-credentials: false", "persist-credentials: true"),
    (scripts, "delivery.yml", ".github/deploy-stack.sh", ".github/deploy.sh"),
    (expressions, "delivery.yml", "needs.sign.outputs.onboarding-api", "needs.sign.outputs.image"),
    (expressions, "delivery.yml", "needs: images", "needs: image"),
    (expressions, "delivery.yml", "steps.registry.outputs.registry", "steps.login.outputs.registry"),
    (short_lived_keys, "delivery.yml", "role-to-assume: ${{ vars.BUILD_ROLE }}", "aws-access-key-id: ${{ secrets.KEY }}"),
    (documented, "delivery.yml", "vars.STACK }}", "vars.STACK_NAME }}"),
    (no_moving_tags, "weekly.yml", "run: .ci/run advisories", "run: docker run scanner:latest"),
    (approvals, "delivery.yml", "    environment: stage\n", ""),
    (approvals, "delivery.yml", "cancel-in-progress: false", "cancel-in-progress: true"),
]
