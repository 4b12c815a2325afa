#!/usr/bin/env python3
"""Checks the packed crates. Started by run.sh.

check.py ROOT WORK
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

from archive import Archive
from checks import Checks
from projects import REPOSITORY, Projects, run

TEMPLATE_FILES = [".gitignore", "Cargo.toml", "README.md", "src/main.rs"]


def output_of(root, *command):
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def members(root):
    """Returns the packages of the workspace, each with True if it is published."""
    metadata = json.loads(output_of(root, "cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"))
    return {package["name"]: package["publish"] != [] for package in metadata["packages"]}


def pack(checks, root, work):
    """Packs the published crates, and returns their archives."""
    packages = members(root)
    published = sorted(name for name, is_published in packages.items() if is_published)
    listed = re.search(r"^published=\((.*?)\)", (root / ".ci/run").read_text(), re.DOTALL | re.MULTILINE)[1]
    listed = sorted(word for word in listed.split() if word != "--package")
    checks.check("the published crates are those that .ci/run lists", published == listed, published)
    # Without `--exclude`, cargo would pack the other members too.
    excluded = [f"--exclude={name}" for name, is_published in packages.items() if not is_published]
    code, output = run(root, "cargo", "package", "--workspace", *excluded, "--no-verify", "--allow-dirty", "--locked")
    if not checks.check("the published crates can be packed", code == 0, output):
        return []
    version = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    folder = pathlib.Path(os.environ["CARGO_TARGET_DIR"], "package")
    return [Archive(folder / f"{name}-{version}.crate", work) for name in published]


def content(checks, root, archives):
    is_release = bool(output_of(root, "git", "tag", "--points-at", "HEAD", "--list", "v*").strip())
    for archive in archives:
        name = f"{archive.name} ({archive.path.stat().st_size // 1024} KB)"
        checks.check(f"{name} contains the licence", archive.text("LICENSE") == (root / "LICENSE").read_text())
        checks.check(f"{name} contains a README", archive.text("README.md").startswith(f"# {archive.name}\n"))
        checks.check(f"{name} contains nothing but sources", not archive.unexpected(), archive.unexpected())
        checks.check(f"{name} contains no tests", not archive.tests(), archive.tests())
        checks.check(f"{name} has its metadata", not archive.missing_metadata(is_release), archive.missing_metadata(is_release))
        examples = archive.undocumented_examples()
        checks.check(f"{name} has a README whose examples are compiled", not examples, "".join(examples))


def rendered(checks, projects, tool, *command):
    """Renders the template with a tool, and returns the folder if the result is complete."""
    folder, output = projects.template(*command)
    if not checks.check(f"{tool} renders the template", folder, output):
        return None
    files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and ".git" not in file.parts)
    checks.check(f"{tool}: the project contains what a user needs", files == TEMPLATE_FILES, files)
    left = [name for name in files if re.search(r"\{\{|\{%", (folder / name).read_text())]
    checks.check(f"{tool}: no placeholder is left", not left, left)
    manifest = tomllib.loads((folder / "Cargo.toml").read_text())
    checks.check(f"{tool}: the project has its name", manifest["package"]["name"] == folder.name, manifest["package"])
    return folder


def template(checks, projects):
    """Renders the template with each tool, and returns the project of cargo-lambda."""
    source = str(projects.root / "templates/function")
    # Cargo reports invalid manifests of a repository to all projects with a Git dependency on it.
    code, output = run(source, "cargo", "metadata", "--no-deps", "--quiet", "--format-version", "1")
    checks.check("the template's manifest is valid before it is rendered", code == 0, output)
    if shutil.which("cargo-generate"):
        rendered(checks, projects, "cargo-generate", "cargo-generate", "generate", "--path", source, "--define", f"baton={REPOSITORY}", "--silent", "--name")
    else:
        print("note   cargo-generate is not installed, so it does not render the template")
    command = ["cargo-lambda", "lambda", "new", "--no-interactive", "--template", source, "--render-var", f"baton={REPOSITORY}"]
    folder = rendered(checks, projects, "cargo-lambda", *command)
    if folder:
        projects.use_packed(folder)
    return folder


def same_profile(folder, other):
    """Returns True if the release profiles of two projects are equal."""
    profiles = [tomllib.loads((path / "Cargo.toml").read_text())["profile"] for path in (folder, other)]
    return profiles[0] == profiles[1]


def passes(checks, title, folder, tests):
    """Tests a project, in which `tests` tests must have run."""
    code, output = run(folder, "cargo", "test", "--quiet")
    checks.check(f"{title} builds and passes its tests", code == 0 and f"ok. {tests} passed" in output, output)


def builds(checks, projects):
    everything, readme, generated = projects.all(), projects.readme(), template(checks, projects)
    code, output = projects.vendor()
    if not checks.check("the projects resolve to the packed crates", code == 0, output):
        return
    code, output = run(everything, "cargo", "check", "--quiet")
    checks.check("the packed crates compile with all features", code == 0, output)
    passes(checks, "the README's function", readme, 1)
    if generated:
        checks.check("the template has the README's profile", same_profile(generated, readme))
        code, output = run(generated, "cargo", "fmt", "--check")
        checks.check("the template is formatted", code == 0, output)
        passes(checks, "the template's function", generated, 2)


def main(root, work):
    root, work = pathlib.Path(root), pathlib.Path(work)
    checks = Checks()
    archives = pack(checks, root, work)
    if archives:
        content(checks, root, archives)
        builds(checks, Projects(root, work, archives))
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
