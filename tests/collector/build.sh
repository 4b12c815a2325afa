# shellcheck shell=bash
# Sourced by scripts that run the real OpenTelemetry Collector.

# build_collector FOLDER builds the Collector as FOLDER/otelcol, unless it is there already. Building
# takes a minute. It exits with 77, which `.ci/run` reports as skipped, if Go or the Collector's
# modules are not available.
build_collector() {
  local work=$1 distribution wanted began=$SECONDS
  distribution=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/distribution
  # Use the installed Go without downloading another toolchain, and no C compiler.
  local -x GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off
  command -v go >/dev/null || skip_collector "Go is not installed"
  wanted=$(go version && cat "$distribution"/*)
  [ -x "$work/otelcol" ] && [ "$(cat "$work/built-from" 2>/dev/null)" = "$wanted" ] && return
  rm -f "$work/built-from"
  mkdir -p "$work"
  fetch_modules "$distribution"
  go build -C "$distribution" -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/otelcol" .
  printf '%s\n' "$wanted" >"$work/built-from"
  echo "built the Collector in $((SECONDS - began)) s"
}

# Fetches the Collector's modules. If that fails because go.mod or go.sum is wrong, the suite fails;
# in all other cases it is skipped.
fetch_modules() {
  local errors
  errors=$(go list -C "$1" -deps . 2>&1 >/dev/null) && return
  printf '%s\n' "$errors" >&2
  case $errors in *go.sum* | *"SECURITY ERROR"* | *"updates to go.mod"*) exit 1 ;; esac
  skip_collector "its Go modules cannot be fetched, or Go is too old"
}

skip_collector() {
  echo "the OpenTelemetry Collector cannot be built: $1"
  exit 77
}
