#!/usr/bin/env bash
# Runs both services against the real OpenTelemetry Collector with the deployed configuration, and
# checks every span, metric and log record that it received. The last line is "N passed, N failed".
#
# Needs Go, python3, openssl and Rust. Building the Collector takes a minute; it is kept under
# target/collector.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}
work=$root/target/collector
built=${CARGO_TARGET_DIR:-$root/target}/debug
# shellcheck source=build.sh
. "$here/build.sh"

# Copies the services before the next build overwrites them.
keep() {
  mkdir -p "$work/$1"
  cp --force "$built/onboarding-lambda" "$built/onboarding-api" "$work/$1/"
}

build_services() {
  local began=$SECONDS build=(cargo build --quiet --locked --manifest-path "$root/Cargo.toml")
  "${build[@]}" --workspace --features onboarding-lambda/grpc,onboarding-api/grpc --bins
  keep grpc
  "${build[@]}" --workspace --bins
  keep plain
  cp --force "$built/baton" "$work/baton"
  echo "built the services in $((SECONDS - began)) s"
}

if ! command -v openssl >/dev/null; then
  echo "the certificates cannot be created: openssl is not installed"
  exit 77 # `.ci/run` reports it as skipped.
fi
build_collector "$work"
build_services

# `checks` is a module of this folder's parent.
PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/check.py" "$work/otelcol" "$work/baton" "$work/plain" "$work/grpc" "$root/infra/collector"
