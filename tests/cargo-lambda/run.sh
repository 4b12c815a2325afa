#!/usr/bin/env bash
# Builds README's function with cargo-lambda, as users do before they deploy it, and makes it panic under `baton up`: with README's profile,
# without a profile, and without a profile but with the feature `panic-abort`. Ends with "N passed, N failed".
#
# Needs python3 and Rust; installs cargo-lambda (and Zig, which it links with) under target/cargo-lambda and keeps both there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/cargo-lambda
# Exit code for "could not be run here", which `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "cargo-lambda cannot be installed here"
  exit "$skipped"
fi

cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package baton-local --bin baton
baton=${CARGO_TARGET_DIR:-$root/target}/debug/baton

# The virtual environment comes first on the PATH, where cargo-lambda looks for Zig.
PATH="$work/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$root" "$baton" "$work"
