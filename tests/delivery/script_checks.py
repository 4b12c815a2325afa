"""Checks of the scripts in .github, with programs in place of aws, sam, docker and cosign that record their calls."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import tomllib

LIMIT_SECONDS = 300
# Records its name and arguments, prints the file of its name and first arguments in ANSWERS, and exits with
# the code in a file beside it.
STAND_IN = """#!/bin/sh
name=$(basename "$0")
echo "$name" "$@" >>"$CALLS"
for answer in "$ANSWERS/$name-$1-$2" "$ANSWERS/$name-$1"; do
  if [ -f "$answer.code" ]; then exit "$(cat "$answer.code")"; fi
  if [ -f "$answer" ]; then cat "$answer"; exit 0; fi
done
"""
PREVIOUS_IMAGE = "registry.example.org/baton/onboarding-api@sha256:" + 64 * "1"
IMAGE = "registry.example.org/baton/onboarding-api@sha256:" + 64 * "2"


class Checkout:
    """A small repository with the scripts and two commits, and programs in place of others."""

    def __init__(self, root, *programs):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.repository = self.folder / "repository"
        shutil.copytree(root / ".github", self.repository / ".github")
        # The real one needs a stack, and is checked by tests/deploy.
        (self.repository / "infra").mkdir()
        validate = self.repository / "infra/validate.sh"
        validate.write_text('#!/bin/sh\necho "validate.sh" "$@" >>"$CALLS"\n[ ! -f "$ANSWERS/invalid-$(git -C "$(dirname "$0")" rev-parse HEAD)" ]\n')
        validate.chmod(0o755)
        self.answers = self.folder / "answers"
        self.answers.mkdir()
        self.calls_file = self.folder / "calls"
        self.calls_file.touch()
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name in programs:
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.previous, self.current = self.commit("first"), self.commit("second")

    def git(self, *arguments):
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "-C", self.repository, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, text):
        (self.repository / "file").write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", text)
        return self.git("rev-parse", "HEAD")

    def answer(self, name, text="", code=None):
        (self.answers / name).write_text(text)
        if code is not None:
            (self.answers / f"{name}.code").write_text(str(code))

    def invalid(self, commit):
        """Lets infra/validate.sh of a commit fail."""
        (self.answers / f"invalid-{commit}").touch()

    def run(self, script, *arguments, code=0, **environment):
        variables = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "CALLS": str(self.calls_file), "ANSWERS": str(self.answers)} | environment
        done = subprocess.run([self.repository / ".github" / script, *arguments], cwd=self.repository, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        assert done.returncode == code, f"{script} exits with {done.returncode}, expected {code}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def calls(self, start):
        return [call for call in self.calls_file.read_text().splitlines() if call.startswith(start)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)


def contains(output, *texts):
    for text in texts:
        assert text in output, f"expected {text!r} in: {output}"


@contextlib.contextmanager
def deployed(root, version=None, image=PREVIOUS_IMAGE):
    """A checkout whose stack has a version."""
    with Checkout(root, "aws", "sam") as checkout:
        script = checkout.bin / "aws"
        # The answer depends on the query.
        script.write_text(
            '#!/bin/sh\necho aws "$@" >>"$CALLS"\ncase "$*" in\n'
            f"  *ApplicationVersion*) echo '{version or checkout.previous}' ;;\n"
            f"  *ProducerImage*) echo '{image}' ;;\n"
            '  *StackStatus*) cat "$ANSWERS/status" 2>/dev/null || echo UPDATE_COMPLETE ;;\nesac\n'
        )
        yield checkout


def help_and_usage(root):
    """Each script has a help, and refuses other arguments."""
    with Checkout(root) as checkout:
        for script in sorted(path.name for path in (root / ".github").glob("*.sh") if path.name != "stack.sh"):
            contains(checkout.run(script, "--help"), f"usage: .github/{script} ")
            contains(checkout.run(script, code=2), f"usage: .github/{script} ")


def release_notes(root):
    """release-notes.sh prints the section of a version, and refuses versions that differ."""
    with Checkout(root) as checkout:
        repository = checkout.repository
        (repository / "Cargo.toml").write_text('[workspace.package]\nversion = "1.2.0"\n')
        (repository / "infra/ecs").mkdir()
        (repository / "infra/ecs/task-definition.json").write_text('"image": "x/onboarding-api:1.2.0"')
        (repository / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n- later\n\n## [1.2.0] - 2026-12-01\n\n### Added\n- news\n\n## [1.1.0]\n- old\n")
        assert checkout.run("release-notes.sh", "v1.2.0") == "### Added\n- news\n"
        contains(checkout.run("release-notes.sh", "1.3.0", code=1), "Cargo.toml has version 1.2.0, the release is 1.3.0")
        checkout.run("release-notes.sh", "latest", code=2)
        (repository / "infra/ecs/task-definition.json").write_text('"image": "x/onboarding-api:1.1.0"')
        contains(checkout.run("release-notes.sh", "1.2.0", code=1), "infra/ecs/task-definition.json has another version of the image than 1.2.0")
        (repository / "infra/ecs/task-definition.json").write_text('"image": "x/onboarding-api:1.2.0"')
        (repository / "CHANGELOG.md").write_text("## [1.2.0]\n\n## [1.1.0]\n- old\n")
        contains(checkout.run("release-notes.sh", "1.2.0", code=1), 'CHANGELOG.md has no section "## 1.2.0", or it is empty')


def release_files(root):
    """release-files.sh creates the archive of baton, bills of materials with the locked versions, and right checksums."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        command = [root / ".github/release-files.sh", folder, "program", "sboms", "sums"]
        # Without the flags, which would compile everything again.
        done = subprocess.run(command, env={**os.environ, "PROFILE": "dev", "CARGO_BUILD_RUSTFLAGS": ""}, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        assert done.returncode == 0, done.stderr[-2000:]
        [archive] = folder.glob("baton-*-linux-*.tar.gz")
        with tarfile.open(archive) as tar:
            assert sorted(tar.getnames()) == ["LICENSE", "README.md", "baton"] and tar.getmember("baton").mode & 0o111, tar.getnames()
            tar.extract("baton", folder / "extracted", filter="data")
        printed = subprocess.run([folder / "extracted/baton", "--version"], capture_output=True, text=True, timeout=30).stdout
        assert printed.strip().split()[-1] in archive.name, printed
        shutil.rmtree(folder / "extracted")
        locked = {(package["name"], package["version"]) for package in tomllib.loads((root / "Cargo.lock").read_text())["package"]}
        for name in ("baton-local", "onboarding-api", "onboarding-lambda"):
            [file] = folder.glob(f"{name}-*.cdx.json")
            sbom = json.loads(file.read_text())
            components = {(component["name"], component["version"]) for component in sbom["components"]}
            assert sbom["bomFormat"] == "CycloneDX" and sbom["metadata"]["component"]["name"] == name, file.name
            assert len(components) > 50 and components <= locked, f"{file.name}: {sorted(components - locked)}"
        names = sorted(path.name for path in folder.iterdir())
        listed = [line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
        assert sorted([*listed, "SHA256SUMS"]) == names and len(names) == 5, f"{listed} {names}"
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
        left = subprocess.run(["git", "-C", root, "ls-files", "--others", "--exclude-standard"], capture_output=True, text=True).stdout
        assert "sbom" not in left, left
    contains(subprocess.run([root / ".github/release-files.sh", "/tmp/unused", "docs"], capture_output=True, text=True).stderr, "unknown part 'docs', expected program, function, sboms or sums")


def release_function(root):
    """release-files.sh builds the function with cargo-lambda for this machine's architecture."""
    with Checkout(root, "cargo") as checkout:
        (checkout.repository / "Cargo.toml").write_text('[workspace.package]\nversion = "1.2.0"\n')
        cargo = checkout.bin / "cargo"
        cargo.write_text('#!/bin/sh\necho cargo "$@" >>"$CALLS"\nfor last; do :; done\nmkdir -p "$last/onboarding-lambda"\necho zip >"$last/onboarding-lambda/bootstrap.zip"\n')
        checkout.run("release-files.sh", "out", "function", "sums")
        [call] = checkout.calls("cargo lambda build --release")
        contains(call, "--package onboarding-lambda", "--output-format zip")
        assert sorted(path.name.split("-linux")[0] for path in (checkout.repository / "out").iterdir()) == ["SHA256SUMS", "onboarding-lambda-1.2.0"]


def deployments(root):
    """deploy-stack.sh builds, deploys and validates a version, with the image, the role and the parameters."""
    with deployed(root) as checkout:
        output = checkout.run("deploy-stack.sh", "baton", checkout.current, IMAGE, CLOUDFORMATION_ROLE="arn:role", PARAMETERS="LogLevel=WARN MinimumTasks=3")
        contains(output, f"deployed version {checkout.current}")
        assert checkout.calls("sam build") and checkout.calls("validate.sh aws baton"), checkout.calls("")
        [call] = checkout.calls("sam deploy")
        contains(call, "--stack-name baton --no-confirm-changeset", "--role-arn arn:role", f"--parameter-overrides ApplicationVersion={checkout.current} ProducerImage={IMAGE} LogLevel=WARN MinimumTasks=3")
    with deployed(root) as checkout:
        contains(checkout.run("deploy-stack.sh", "baton", checkout.current, "--dry-run"), "sam build", f"ApplicationVersion={checkout.current}", "infra/validate.sh aws baton", "dry run: nothing was called")
        assert not checkout.calls(""), checkout.calls("")


def rollbacks(root):
    """deploy-stack.sh deploys the previous commit and image again if the new version does not work."""
    with deployed(root) as checkout:
        checkout.invalid(checkout.current)
        output = checkout.run("deploy-stack.sh", "baton", checkout.current, IMAGE, code=1)
        contains(output, f"version {checkout.current} does not work. Rolling back to {checkout.previous}", f"rolled back to version {checkout.previous}")
        first, second = checkout.calls("sam deploy")
        contains(first, f"ApplicationVersion={checkout.current} ProducerImage={IMAGE}")
        contains(second, f"ApplicationVersion={checkout.previous} ProducerImage={PREVIOUS_IMAGE}")
        assert len(checkout.calls("validate.sh")) == 2 and "checkout" not in checkout.git("worktree", "list"), checkout.calls("")
    with deployed(root) as checkout:
        checkout.invalid(checkout.current)
        checkout.invalid(checkout.previous)
        contains(checkout.run("deploy-stack.sh", "baton", checkout.current, IMAGE, code=1), f"version {checkout.previous} is deployed again, and does not work either")


def failed_deployments(root):
    """deploy-stack.sh tells a failed update from one that CloudFormation has undone, and a stack without an earlier version."""
    with deployed(root) as checkout:
        checkout.answer("sam-deploy", code=1)
        checkout.answer("status", "UPDATE_ROLLBACK_COMPLETE")
        contains(checkout.run("deploy-stack.sh", "baton", checkout.current, code=1), f"was not deployed; CloudFormation has restored version {checkout.previous}")
        assert len(checkout.calls("sam deploy")) == 1 and not checkout.calls("validate.sh"), checkout.calls("")
    with deployed(root) as checkout:
        checkout.answer("sam-build", code=1)
        contains(checkout.run("deploy-stack.sh", "baton", checkout.current, code=1), f"version {checkout.previous} was not deployed again", "describe-stack-events --stack-name baton")
    with deployed(root, version="None") as checkout:
        checkout.invalid(checkout.current)
        contains(checkout.run("deploy-stack.sh", "baton", checkout.current, code=1), "There is no previous version to go back to")
    with deployed(root) as checkout:
        contains(checkout.run("roll-back.sh", "baton", "0123abc", code=1), "version '0123abc' is not a commit or a tag of this checkout")


def images(root):
    """build-image.sh builds for one architecture, and prints the digest of a pushed image."""
    with Checkout(root, "docker") as checkout:
        docker = checkout.bin / "docker"
        docker.write_text('#!/bin/sh\necho docker "$@" >>"$CALLS"\nwhile [ "$1" != --metadata-file ]; do shift; done\necho \'{"containerimage.digest": "sha256:' + 64 * "a" + "\"}' >\"$2\"\n")
        assert checkout.run("build-image.sh", "onboarding-api", "arm64", "1.2.0", code=2) == "there is no infra/docker/onboarding-api.Dockerfile\n"
        (checkout.repository / "infra/docker").mkdir()
        (checkout.repository / "infra/docker/onboarding-api.Dockerfile").touch()
        assert checkout.run("build-image.sh", "onboarding-api", "arm64", "1.2.0") == ""
        contains(checkout.calls("docker")[0], "--platform linux/arm64", "--load --tag onboarding-api:arm64", "VERSION=1.2.0", f"REVISION={checkout.current}")
        assert checkout.run("build-image.sh", "onboarding-api", "amd64", "1.2.0", "registry/x") == f"sha256:{64 * 'a'}\n"
        contains(checkout.calls("docker")[1], "--platform linux/amd64", "name=registry/x,push-by-digest=true,name-canonical=true,push=true")
        checkout.run("build-image.sh", "onboarding-api", "riscv64", "1.2.0", code=2)


def signatures(root):
    """sign-images.sh joins both architectures, signs the result with its bills of materials, and prints it."""
    with Checkout(root, "docker", "cosign") as checkout:
        digests, sboms = checkout.folder / "digests", checkout.folder / "sboms"
        digests.mkdir()
        sboms.mkdir()
        for name in ("onboarding-api", "onboarding-lambda", "baton-local"):
            (sboms / f"{name}-1.2.0.cdx.json").touch()
        for name in ("onboarding-api", "local-stack"):
            for number, architecture in enumerate(("amd64", "arm64")):
                (digests / f"{name}-{architecture}").write_text(f"sha256:{64 * str(number)}\n")
        joined = f"sha256:{64 * 'c'}"
        checkout.answer("docker-buildx-imagetools", joined)
        docker = checkout.bin / "docker"
        docker.write_text(f'#!/bin/sh\necho docker "$@" >>"$CALLS"\nif [ "$3" = inspect ]; then echo {joined}; fi\n')
        output = checkout.run("sign-images.sh", "registry/baton", "1.2.0", str(digests), str(sboms))
        assert output == f"onboarding-api=registry/baton/onboarding-api@{joined}\nlocal-stack=registry/baton/local-stack@{joined}\n", output
        contains(checkout.calls("docker buildx imagetools create")[0], f"--tag registry/baton/onboarding-api:1.2.0 registry/baton/onboarding-api@sha256:{64 * '0'} registry/baton/onboarding-api@sha256:{64 * '1'}")
        assert len(checkout.calls("cosign sign")) == 2 and len(checkout.calls("cosign attest")) == 3, checkout.calls("cosign")
        (sboms / "baton-local-1.2.0.cdx.json").unlink()
        contains(checkout.run("sign-images.sh", "registry/baton", "1.2.0", str(digests), str(sboms), code=1), "there is no bill of materials of baton-local")
        (digests / "local-stack-arm64").write_text("")
        contains(checkout.run("sign-images.sh", "registry/baton", "1.2.0", str(digests), str(sboms), code=1), "local-stack-arm64: expected a digest, found ''")


def coverage(root):
    """coverage.sh measures the tests of the workspace, and asks for cargo-llvm-cov if it is missing."""
    with Checkout(root, "cargo") as checkout:
        checkout.run("coverage.sh", "out")
        calls = checkout.calls("cargo llvm-cov")
        contains("\n".join(calls), "--workspace --no-report", f"--lcov --output-path {checkout.repository}/out/lcov.info", "--summary-only")
        checkout.answer("cargo-llvm-cov", code=1)
        contains(checkout.run("coverage.sh", "out", code=2), "cargo-llvm-cov is not installed: cargo install cargo-llvm-cov")


CHECKS = [help_and_usage, release_notes, release_files, release_function, deployments, rollbacks, failed_deployments, images, signatures, coverage]


def results(root):
    """Yields the title of each check and its complaints."""
    for check in CHECKS:
        try:
            check(root)
            complaints = []
        except Exception as error:  # Any exception fails the check; the other checks still run.
            complaints = [f"{type(error).__name__}: {error}"]
        yield check.__doc__, complaints
