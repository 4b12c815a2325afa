#!/usr/bin/env bash
# Takes CPU profiles of the onboarding API under load, reads them with `go tool pprof`, and draws one
# as a flame graph. Runs the commands of docs/profiling.md that take and read a profile. The last
# line is "N passed, N failed".
#
# Needs Rust, Go, curl and python3. The API is built with the feature `profiling` in the profile
# `dev`.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/profiling-suite
built=${CARGO_TARGET_DIR:-$root/target}/debug

if ! command -v go >/dev/null; then
  echo "profiles cannot be read with go tool pprof: Go is not installed"
  exit 77 # `.ci/run` reports it as skipped.
fi

build=(cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --workspace --bins)
"${build[@]}" --features onboarding-api/profiling
mkdir -p "$work"
cp --force "$built/onboarding-api" "$work/"
# The other suites start the service without the feature.
"${build[@]}"

PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/check.py" "$built" "$work" "$root/docs/profiling.md"
