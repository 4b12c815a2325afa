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
# Exit code that `.ci/run` reports as skipped.
skipped=77

# Use the installed Go without downloading another toolchain, and no C compiler.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off

skip() {
  echo "$1"
  exit "$skipped"
}

# Fetches the Collector's modules. If that fails because go.mod or go.sum is wrong, the suite fails;
# in all other cases it is skipped.
fetch_modules() {
  local errors
  errors=$(go list -C "$here/distribution" -deps . 2>&1 >/dev/null) && return
  printf '%s\n' "$errors" >&2
  case $errors in *go.sum* | *"SECURITY ERROR"* | *"updates to go.mod"*) exit 1 ;; esac
  skip "the OpenTelemetry Collector cannot be built: its Go modules cannot be fetched, or Go is too old"
}

build_collector() {
  local wanted began=$SECONDS
  wanted=$(go version && cat "$here"/distribution/*)
  [ -x "$work/otelcol" ] && [ "$(cat "$work/built-from" 2>/dev/null)" = "$wanted" ] && return
  rm -f "$work/built-from"
  fetch_modules
  go build -C "$here/distribution" -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/otelcol" .
  printf '%s\n' "$wanted" >"$work/built-from"
  echo "built the Collector in $((SECONDS - began)) s"
}

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

command -v go >/dev/null || skip "the OpenTelemetry Collector cannot be built: Go is not installed"
command -v openssl >/dev/null || skip "the certificates cannot be created: openssl is not installed"
mkdir -p "$work"
build_collector
build_services

PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/check.py" "$work/otelcol" "$work/baton" "$work/plain" "$work/grpc" "$root/infra/collector/config.yaml"
