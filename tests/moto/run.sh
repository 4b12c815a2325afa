#!/usr/bin/env bash
# Drives the real onboarding function, built with the feature dynamodb, against a table of moto's: a Runtime API, an OTLP receiver and a
# fault in front of the table, all of them on loopback. Ends with "N passed, N failed".
#
# Needs python3 and Rust; installs moto under target/moto and keeps it there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/moto
# An exit code of its own for "could not be tried", which `.ci/run` reports as such.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "moto cannot be installed here"
  exit "$skipped"
fi

cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package onboarding-lambda --features dynamodb
# Away from where the next build without the feature puts its own.
function=$work/onboarding-lambda
cp --force "${CARGO_TARGET_DIR:-$root/target}/debug/onboarding-lambda" "$function"

PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$function"
