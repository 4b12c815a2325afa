#!/usr/bin/env bash
# Runs both services against the real OpenTelemetry Collector with the configuration that is deployed, and looks at every span, metric and
# log record that it got. Ends with "N passed, N failed".
#
# Needs Go for the Collector, which takes a minute to build and is kept under target/collector; python3, openssl and Rust.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=${PYTHON:-python3}
work=$root/target/collector
built=${CARGO_TARGET_DIR:-$root/target}/debug
# An exit code of its own for "could not be tried", which `.ci/run` reports as such.
skipped=77

# Only what is here: no other toolchain is fetched, and no C compiler is asked for.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off

skip() {
  echo "$1"
  exit "$skipped"
}

# Prints what is wrong with fetching the Collector's modules, and fails if that is our fault: sums that are not right are no reason to skip.
fetch_modules() {
  local errors
  errors=$(go list -C "$here/distribution" -deps . 2>&1 >/dev/null) && return
  printf '%s\n' "$errors" >&2
  case $errors in *go.sum* | *"SECURITY ERROR"* | *"updates to go.mod"*) exit 1 ;; esac
  skip "the OpenTelemetry Collector cannot be built: its Go modules cannot be fetched, or this Go is too old for them"
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

# Copies the services away from where the next build puts its own.
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

command -v go >/dev/null || skip "the OpenTelemetry Collector cannot be built: there is no Go here"
command -v openssl >/dev/null || skip "no test authority: there is no openssl here"
mkdir -p "$work"
build_collector
build_services

PYTHONDONTWRITEBYTECODE=1 exec "$python" "$here/check.py" "$work/otelcol" "$work/baton" "$work/plain" "$work/grpc" "$root/infra/collector/config.yaml"
