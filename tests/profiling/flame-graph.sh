#!/usr/bin/env bash
# Draws docs/profiling-onboarding-api.svg: a flame graph of the onboarding API, built as it is
# deployed, under the load of `baton load`. Also measures the CPU time of the profile itself.
#
#   tests/profiling/flame-graph.sh [SECONDS]
#
# Needs Rust and python3. The build takes some minutes; run it on an idle machine.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/profiling-suite
target=${CARGO_TARGET_DIR:-$root/target}
cargo=(cargo build --quiet --locked --manifest-path "$root/Cargo.toml")

"${cargo[@]}" --profile profiling --package onboarding-api --features profiling
"${cargo[@]}" --profile demo --package baton-local --package onboarding-lambda --bins
mkdir -p "$work"
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/measure.py" "$target/demo" "$target/profiling/onboarding-api" "$work" \
  "$root/docs/profiling-onboarding-api.svg" "${1:-30}"
