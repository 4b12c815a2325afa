#!/usr/bin/env bash
# Builds the README's function with cargo-lambda, as users do before they deploy it, and makes it
# panic under `baton up`: with the README's profile, without a profile, and without a profile but
# with the feature `panic-abort`. The last line is "N passed, N failed".
#
# Needs python3 and Rust; installs cargo-lambda (and Zig, its linker) under target/cargo-lambda and
# keeps both there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/cargo-lambda
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "cargo-lambda cannot be installed"
  exit "$skipped"
fi

cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package baton-local --bin baton
baton=${CARGO_TARGET_DIR:-$root/target}/debug/baton

# The virtual environment comes first on the PATH, because cargo-lambda searches the PATH for Zig.
# `checks` and `readme` are modules of this folder's parent.
PATH="$work/venv/bin:$PATH" PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$root" "$baton" "$work"
