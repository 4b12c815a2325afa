"""The content of a packed crate."""

import hashlib
import json
import pathlib
import re
import tarfile
import tomllib

# Files that `cargo package` adds.
GENERATED = {"Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"}
# A module that is only compiled for tests or by the fuzzer, with the attributes and docs between.
TEST_MODULE = re.compile(r"#\[cfg\((?:any\()?test\b[^\n]*\n(?:(?:#\[|///)[^\n]*\n)*(?:pub )?mod (\w+);")
# Metadata that crates.io shows or requires.
METADATA = ["description", "license", "readme", "documentation", "keywords", "categories", "rust-version"]
MAX_KEYWORDS = 5


class Archive:
    """A packed crate, unpacked into `folder`."""

    def __init__(self, path, folder):
        self.path = path
        self.checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        with tarfile.open(path) as tar:
            self.links = [member.name for member in tar.getmembers() if not member.isfile()]
            tar.extractall(folder, filter="data")
        self.folder = folder / path.stem
        self.files = sorted(str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file())
        self.manifest = tomllib.loads((self.folder / "Cargo.toml").read_text())
        self.package = self.manifest["package"]
        self.name, self.version = self.package["name"], self.package["version"]
        self.features = sorted(self.manifest.get("features", {}))

    def text(self, name):
        return (self.folder / name).read_text()

    def unexpected(self):
        """Returns the files that are neither sources nor required."""
        sources = (file for file in self.files if re.fullmatch(r"src/.*\.rs", file))
        return sorted({*self.files} - {*sources} - GENERATED - {"LICENSE", "README.md"}) + self.links

    def tests(self):
        """Returns the files with tests: those named as tests, and those that only a test module loads."""
        found = [file for file in self.files if {"tests", "tests.rs"} & {*pathlib.PurePath(file).parts}]
        for file in self.files:
            if not file.endswith(".rs"):
                continue
            path = pathlib.PurePath(file)
            folder = path.parent if path.name in ("lib.rs", "main.rs") else path.with_suffix("")
            modules = [str(folder / name) for name in TEST_MODULE.findall(self.text(file))]
            found += [other for other in self.files for module in modules if other == f"{module}.rs" or other.startswith(f"{module}/")]
        return sorted({*found})

    def missing_metadata(self, is_release):
        """Returns the names of missing fields. A release also has the address of its repository."""
        wanted = METADATA + (["repository"] if is_release else [])
        missing = [name for name in wanted if not self.package.get(name)]
        if self.features and not self.package.get("metadata", {}).get("docs", {}).get("rs", {}).get("all-features"):
            missing.append("docs.rs: all-features")
        return missing

    def undocumented_examples(self):
        """Returns the Rust examples of the README that are not in the crate's documentation, where they are compiled."""
        lines = [line[4:] for line in self.text("src/lib.rs").splitlines(keepends=True) if line.startswith("//! ") or line == "//!\n"]
        # Lines that rustdoc hides, and the blank lines around them.
        shown = "".join(line or "\n" for line in lines if not line.startswith("# "))
        compact = re.sub(r"\n+", "\n", shown)
        examples = re.findall(r"```rust\n(.*?)```", self.text("README.md"), re.DOTALL)
        return [example for example in examples if re.sub(r"\n+", "\n", example) not in compact]

    def add_to(self, vendor):
        """Adds the crate to a directory source of cargo."""
        folder = vendor / self.path.stem
        self.folder.rename(folder)
        (folder / ".cargo-checksum.json").write_text(json.dumps({"files": {}, "package": self.checksum}))
