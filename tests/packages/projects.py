"""The packed crates as a directory source, and the projects that are built with it."""

import os
import pathlib
import shutil
import subprocess

import readme

# `cargo vendor` copies about 400 crates; the first build compiles most of them.
SECONDS = 900
TEMPLATE_NAME = "shipments"
# The address given to the template's prompt. The dependency on it is replaced.
REPOSITORY = "https://git.example/baton"
LIBRARY = pathlib.Path("src/lib.rs")
OFFLINE = {**os.environ, "CARGO_NET_OFFLINE": "true", "CARGO_TERM_COLOR": "never", "CARGO_INCREMENTAL": "0"}
CONFIG = """\
[source.crates-io]
replace-with = "packed"

[source.packed]
directory = "vendor"
"""


def run(folder, *command):
    """Returns the exit code and the output of a command without a network."""
    done = subprocess.run(
        command, cwd=folder, env=OFFLINE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
    )
    return done.returncode, done.stdout


class Projects:
    """Empty projects with the packed crates as dependencies."""

    def __init__(self, root, work, archives):
        self.root, self.work, self.archives = root, work, archives
        self.folders = []

    def create(self, name, files):
        """Creates a project from the text of its files, with the versions that the workspace is tested with."""
        folder = self.work / name
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.add(folder)
        return folder

    def add(self, folder):
        shutil.copy(self.root / "Cargo.lock", folder / "Cargo.lock")
        self.folders.append(folder)

    def requirement(self):
        """Returns the version of baton-lambda as the value of a dependency."""
        return next(f'"{archive.version}"' for archive in self.archives if archive.name == "baton-lambda")

    def readme(self):
        """Creates the project of the README."""
        source, tests, manifest = readme.function(self.root)
        files = {"src/main.rs": f"{source}\n{tests}", "Cargo.toml": readme.package("orders", manifest, self.requirement())}
        return self.create("orders", files)

    def all(self):
        """Creates a library that depends on every packed crate with all of its features."""
        lines = [f'{a.name} = {{ version = "{a.version}", features = {a.features} }}'.replace("'", '"') for a in self.archives]
        manifest = "\n".join(["[package]", 'name = "all"', 'edition = "2024"', "", "[dependencies]", *lines, ""])
        return self.create("all", {"Cargo.toml": manifest, LIBRARY: ""})

    def template(self, *command):
        """Renders the template, and returns the folder or `None`, and the output. `command` ends before the name."""
        folder = self.work / TEMPLATE_NAME
        shutil.rmtree(folder, ignore_errors=True)
        code, output = run(self.work, *command, TEMPLATE_NAME)
        return (None if code else folder), output

    def use_packed(self, folder):
        """Replaces the dependency on the Git repository with the packed crate."""
        manifest = folder / "Cargo.toml"
        manifest.write_text(manifest.read_text().replace(f'{{ git = "{REPOSITORY}" }}', self.requirement()))
        self.add(folder)

    def vendor(self):
        """Makes the packed crates and the dependencies of all projects the only source of crates."""
        patches = [f'patch.crates-io.{archive.name}.path="{archive.folder}"' for archive in self.archives]
        options = [word for patch in patches for word in ("--config", patch)]
        others = [word for folder in self.folders[1:] for word in ("--sync", str(folder / "Cargo.toml"))]
        code, output = run(self.folders[0], "cargo", *options, "vendor", "--quiet", "--versioned-dirs", *others, str(self.work / "vendor"))
        if code == 0:
            for archive in self.archives:
                archive.add_to(self.work / "vendor")
            (self.work / ".cargo").mkdir()
            (self.work / ".cargo/config.toml").write_text(CONFIG)
        return code, output
