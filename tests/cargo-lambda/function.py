"""The README's function as a separate package, built with cargo-lambda."""

import os
import re
import shutil
import subprocess

import readme

# The line of the handler before which the panic is inserted.
HANDLED = '    tracing::info!(order = message.body.id, "handled");\n'
PANIC = '    assert_ne!(message.body.id, "panic", "an order that panics");\n'
PROFILE = re.compile(r"\n\[profile\.release\]\n(?:[^\n\[][^\n]*\n)+")
# Overrides the README's optimisations, which slow down the build.
QUICK = {"CARGO_PROFILE_RELEASE_OPT_LEVEL": "0", "CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
BUILD_SECONDS = 600


class Package:
    """A package outside the checkout."""

    def __init__(self, root, work):
        self.folder = work / "orders"
        self.target = work / "target"
        self.source, _, self.manifest = readme.function(root)
        self.library = root / "lambda"
        self.lock = root / "Cargo.lock"

    def build(self, with_profile, features=()):
        """Returns the exit code of cargo-lambda, its output, and the path of the binary."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "src").mkdir(parents=True)
        (self.folder / "src/main.rs").write_text(self.source.replace(HANDLED, PANIC + HANDLED))
        (self.folder / "Cargo.toml").write_text(self._manifest(with_profile, features))
        # The dependency versions that the workspace is tested with.
        shutil.copy(self.lock, self.folder / "Cargo.lock")
        environment = {**os.environ, **QUICK, "CARGO_TARGET_DIR": str(self.target), "CARGO_TERM_COLOR": "never"}
        done = subprocess.run(
            ["cargo-lambda", "lambda", "build", "--release"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr, self.target / "lambda/orders/bootstrap"

    def _manifest(self, with_profile, features):
        manifest = self.manifest if with_profile else PROFILE.sub("\n", self.manifest)
        names = ", ".join(f'"{feature}"' for feature in features)
        return readme.package("orders", manifest, f'{{ path = "{self.library}", features = [{names}] }}')
