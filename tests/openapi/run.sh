#!/usr/bin/env bash
# Compares the running onboarding API with its description, `/openapi.json`: schemathesis generates
# valid and invalid requests from it, and checks the responses. The queue is that of `baton up
# --sqs-only`, all on loopback. The last line is "N passed, N failed".
#
# Needs the binaries of `cargo build --workspace --bins` and python3; installs schemathesis under
# target/openapi and keeps it there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/openapi
binaries=${CARGO_TARGET_DIR:-$root/target}/debug
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

for binary in baton onboarding-api; do
  if [ ! -x "$binaries/$binary" ]; then
    echo "run.sh: $binaries/$binary does not exist; build it with 'cargo build --workspace --bins'" >&2
    exit 2
  fi
done
if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "schemathesis cannot be installed"
  exit "$skipped"
fi

PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$binaries" "$work"
