"""The linters, each with its files and a mistake that it must report."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
from typing import NamedTuple

from spelling import in_pascal_case

LIMIT_SECONDS = 300
# The linters of AWS's files read the region, and `sam` sends usage statistics by default.
ENVIRONMENT = {"AWS_DEFAULT_REGION": "eu-central-1", "SAM_CLI_TELEMETRY": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-buildvcs=false"}
SHELL = re.compile(r"#!.*\b(ba|da)?sh\b|# shellcheck shell=")
TASK = "infra/ecs/task-definition.json"


class Mistake(NamedTuple):
    """A text in a file, its replacement, and a part of the report that the linter must print about it."""

    file: str
    text: str
    replacement: str
    reported: str


class Linter(NamedTuple):
    """A linter. `lint` takes a folder and its files, and returns an exit code and a report."""

    name: str
    lint: callable
    mistake: Mistake


def run(folder, *command):
    """Runs a command in a folder, and returns its exit code and its output."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    return done.returncode, done.stdout + done.stderr


def some(files, wanted):
    """Returns the files for which `wanted` is true. There must be one, because a linter without files reports nothing."""
    found = [file for file in files if wanted(file)]
    assert found, "there are no files to check"
    return found


def hadolint(folder, files):
    return run(folder, "hadolint", "--failure-threshold", "style", *some(files, lambda file: "Dockerfile" in file.rpartition("/")[2]))


def shellcheck(folder, files):
    def is_script(file):
        with (folder / file).open(errors="replace") as script:
            return SHELL.match(script.readline())

    return run(folder, "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *some(files, is_script))


def checkov(folder, _):
    # checkov exits with 1 if a check fails. It does not report files that it cannot read.
    return run(folder, "checkov", "--config-file", "tests/template/checkov.yaml", "--skip-download", "-f", "template.yaml", "-f", "infra/repositories.yaml", "-f", "infra/delivery.yaml")


def repositories(folder, _):
    return run(folder, "cfn-lint", "infra/repositories.yaml", "infra/delivery.yaml")


def task(folder, _):
    """Checks the task definition in CloudFormation's form, because ECS's form has no schema."""
    properties = in_pascal_case(json.loads((folder / TASK).read_text()))
    with tempfile.TemporaryDirectory() as directory:
        template = pathlib.Path(directory, "template.json")
        template.write_text(json.dumps({"Resources": {"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": properties}}}))
        return run(folder, "cfn-lint", template)


def sam(folder, _):
    return run(folder, "sam", "validate", "--lint", "--template", "template.yaml")


def gofmt(folder, files):
    code, output = run(folder, "gofmt", "-l", *some(files, lambda file: file.endswith(".go")))
    # gofmt lists the files that it would change, and exits with 0.
    return code or int(bool(output)), output


def go_vet(folder, _):
    return run(folder / "infra/collector/healthcheck", "go", "vet", "./...")


HEALTHCHECK = "infra/collector/healthcheck/main.go"

LINTERS = [
    Linter("hadolint", hadolint, Mistake("infra/docker/collector.Dockerfile", "COPY --from=build", "COPY --from=builder", "DL3022")),
    Linter("shellcheck", shellcheck, Mistake("infra/docker/compile.sh", 'cargo build --locked --profile "$PROFILE"', "cargo build --locked --profile $PROFILE", "SC2086")),
    Linter("checkov", checkov, Mistake("infra/repositories.yaml", "ScanOnPush: true", "ScanOnPush: false", "CKV_AWS_163")),
    Linter("cfn-lint of the repositories and roles", repositories, Mistake("infra/repositories.yaml", "EncryptionType: AES256", "EncryptionType: AES", "E3030")),
    Linter("cfn-lint of the task definition", task, Mistake(TASK, '"memory": "1024"', '"memory": "1000"', "E3047")),
    Linter("sam validate", sam, Mistake("template.yaml", "Type: AWS::SQS::Queue\n", "Type: AWS::SQS::Queues\n", "E3006")),
    Linter("gofmt", gofmt, Mistake(HEALTHCHECK, "package main\n", "package  main\n", HEALTHCHECK)),
    Linter("go vet", go_vet, Mistake(HEALTHCHECK, "expected 200", "expected %d", "%d")),
]
