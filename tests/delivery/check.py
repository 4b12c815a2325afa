"""Runs the checks and prints a summary. Started by `run.sh`.

    check.py ROOT
"""

import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile

import script_checks
import workflow_rules
from checks import Checks

LIMIT_SECONDS = 120
# Mistakes that the linters must report: the command, a text in delivery.yml and its replacement.
ACTIONLINT = ("needs: images", "needs: [images")
ZIZMOR = ('run: .github/build-image.sh "$IMAGE"', 'run: .github/build-image.sh "${{ github.head_ref }}"')


def run(folder, *command):
    """Runs a command, and returns its exit code and its output."""
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    return done.returncode, done.stdout + done.stderr


def listed(root):
    """Returns the files of the repository, including those that are not committed."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if (root / name).is_file()]


def check_rules(checks, files):
    for rule in workflow_rules.RULES:
        found = rule(files)
        checks.check(rule.__doc__.rstrip("."), not found, "; ".join(found))
    for rule, name, text, replacement in workflow_rules.MISTAKES:
        assert text in files.workflows[name], f"{name} does not contain {text!r}"
        broken = files._replace(workflows={**files.workflows, name: files.workflows[name].replace(text, replacement)})
        checks.check(f"{rule.__name__} reports {replacement.strip()!r} in {name}", rule(broken), "nothing was reported")
    unproven = [rule.__name__ for rule in workflow_rules.RULES if rule not in {mistake[0] for mistake in workflow_rules.MISTAKES}]
    checks.check("every rule can fail", not unproven, unproven)


def check_linters(checks, copy):
    workflow = copy / ".github/workflows/delivery.yml"
    for command, (text, replacement) in ((("actionlint",), ACTIONLINT), (("zizmor", "--offline", "--no-progress", ".github/workflows"), ZIZMOR)):
        code, output = run(copy, *command)
        checks.check(f"{command[0]} has no complaint", code == 0, output[-3000:])
        before = workflow.read_text()
        assert text in before, text
        workflow.write_text(before.replace(text, replacement))
        code, output = run(copy, *command)
        workflow.write_text(before)
        checks.check(f"{command[0]} reports {replacement!r}", code != 0, output[-1000:])


def check_secrets(checks, copy):
    command = ("gitleaks", "dir", ".", "--redact", "--no-banner", "--config", ".gitleaks.toml")
    code, output = run(copy, *command)
    checks.check("gitleaks finds no secret", code == 0, output[-3000:])
    (copy / "key.env").write_text(f"AWS_SECRET_ACCESS_KEY={secrets.token_urlsafe(30)}\n")
    code, output = run(copy, *command)
    checks.check("gitleaks finds a key", code != 0, output[-1000:])


def main():
    if len(sys.argv) != 2:
        print("usage: check.py ROOT", file=sys.stderr)
        return 2
    root = pathlib.Path(sys.argv[1])
    checks = Checks()
    check_rules(checks, workflow_rules.read(root))
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in listed(root):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy / name)
        # actionlint looks for the root of a repository.
        subprocess.run(["git", "init", "--quiet", copy], check=True)
        check_linters(checks, copy)
        check_secrets(checks, copy)
    for title, complaints in script_checks.results(root):
        checks.check(title, not complaints, complaints)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
