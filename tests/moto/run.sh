#!/usr/bin/env bash
# Runs the real onboarding function, built with the feature dynamodb, against a DynamoDB table of
# moto, with a Runtime API, an OTLP receiver and a proxy that injects faults, all on loopback. The
# last line is "N passed, N failed".
#
# Needs python3 and Rust; installs moto under target/moto and keeps it there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/moto
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "moto cannot be installed"
  exit "$skipped"
fi

cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package onboarding-lambda --features dynamodb
# A copy, because the next build without the feature overwrites the binary.
function=$work/onboarding-lambda
cp --force "${CARGO_TARGET_DIR:-$root/target}/debug/onboarding-lambda" "$function"

# `checks` and `servers` are modules of this folder's parent.
PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$function"
