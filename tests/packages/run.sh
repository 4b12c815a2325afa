#!/usr/bin/env bash
# Packs the crates that are published, and checks them as a user gets them: their content, their
# metadata, that they compile, and that the README's function and the one from templates/function
# build and pass their tests. The builds see only the packed crates and their dependencies, in a
# directory, and have no network. The last line is "N passed, N failed".
#
# Needs python3 and Rust; installs cargo-lambda under target/cargo-lambda, as tests/cargo-lambda
# does. Uses cargo-generate too if it is installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
lambda=$root/target/cargo-lambda
# Exit code that `.ci/run` reports as skipped.
skipped=77
# Outside the checkout, where no configuration or manifest of it applies.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

if ! cached_venv "$lambda" "$here/../cargo-lambda/requirements.txt" >&2; then
  echo "cargo-lambda cannot be installed"
  exit "$skipped"
fi

# The packages and the builds are kept between runs.
export CARGO_TARGET_DIR=$root/target/packages
PATH="$lambda/venv/bin:$PATH" PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 "$lambda/venv/bin/python" "$here/check.py" "$root" "$work"
