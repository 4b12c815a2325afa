#!/usr/bin/env bash
# Deploys template.yaml into an emulator of AWS with `sam deploy`, sends messages through the whole
# pipeline, and checks the items, the dead-letter queue and the telemetry at a real Collector; then
# updates the stack, checks it with infra/validate.sh, and runs the commands of the guide's pages.
# The last line is "N passed, N failed".
#
# Needs Go, python3 and Rust; installs SAM, the AWS CLI, cargo-lambda and the emulator under target
# and keeps them there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/deploy

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"
# shellcheck source=../collector/build.sh
. "$here/../collector/build.sh"

skip() {
  echo "$1"
  exit 77 # `.ci/run` reports it as skipped.
}

# The function is built as users build it, but without optimisation, which takes minutes.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

build_function() {
  local began=$SECONDS
  # cargo-lambda's folder comes first, because cargo-lambda searches the PATH for Zig.
  "$tools/python" "$here/template_copy.py" "$root/template.yaml" >"$work/template.yaml"
  if ! PATH="$lambda:$tools:$PATH" SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR="$work" sam build --template-file "$work/template.yaml" \
    --base-dir "$root" --build-dir "$work/build" >"$work/build.log" 2>&1; then
    cat "$work/build.log"
    exit 1
  fi
  echo "sam build: $((SECONDS - began)) s"
}

cached_venv "$root/target/sam" "$here/../sam.txt" >&2 || skip "SAM cannot be installed"
cached_venv "$root/target/cargo-lambda" "$here/../cargo-lambda/requirements.txt" >&2 || skip "cargo-lambda cannot be installed"
# A separate environment, because the emulator and SAM need different versions of botocore.
cached_venv "$work" "$here/requirements.txt" >&2 || skip "the emulator cannot be installed"
tools=$root/target/sam/venv/bin
lambda=$root/target/cargo-lambda/venv/bin
mkdir -p "$work"
build_collector "$root/target/collector"
build_function
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package onboarding-api --package baton-local --bins

debug=${CARGO_TARGET_DIR:-$root/target}/debug
# `collector` and the modules that it imports are in tests/collector, and `checks`, `pages`,
# `servers` and `spelling` are in tests.
PYTHONPATH="$here/../collector:$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$tools/python" "$here/check.py" "$root" "$work/build" "$lambda:$tools" \
  "$work/venv/bin/ministack" "$root/target/collector/otelcol" "$debug/onboarding-api" "$debug/baton"
