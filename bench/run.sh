#!/usr/bin/env bash
# Builds Baton's `noop` and the functions it is compared with, measures them in turns and with collectors out of order, and prints a
# Markdown table.
#
#   bench/run.sh            everything: ten minutes on two cores, most of it for building
#   bench/run.sh --quick    fewer rounds, and only the comparison without TLS
#   bench/run.sh --check    only what CI holds to its limits; fails when one is exceeded
#
# Every run is also a line of JSON in target/bench/runs.jsonl. See README.md beside this file.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
target=$root/target
export CARGO_INCREMENTAL=0
# As .ci/run wants it from a step whose tool is not to be had.
skipped=77

mode=full
case ${1:-} in
  "") ;;
  --quick) mode=quick ;;
  --check) mode=check ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac

# Instructions are counted by valgrind; without it those rows say so, and there is little left to hold to a limit.
if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends valgrind; } >/dev/null 2>&1 || true
fi
if [ "$mode" = check ] && ! command -v valgrind >/dev/null; then
  echo "valgrind is not installed and cannot be: no instructions to count"
  exit "$skipped"
fi

# One target directory, so that `bare` and `noop` share what they have in common. Each in a call of its own: built together, the features
# that one asks for would be in the other.
peer() { cargo build --quiet --locked --manifest-path "$here/Cargo.toml" --target-dir "$target" "$@" >&2; }
peer --package harness --profile tool
peer --package bare --release
ours() { (cd "$root" && cargo build --quiet --locked "$@" >&2); }
ours --package baton-lambda --release --example noop --example logging
# It is not measured, and tests build it like this as well.
ours --package baton-local --bin baton

binaries=("bare=$target/release/bare" "noop=$target/release/examples/noop" "logging=$target/release/examples/logging" "baton=$target/debug/baton")
if [ "$mode" != check ]; then
  mkdir -p "$target/bench"
  if [ "$mode" = full ]; then
    peer --package direct --release --features tls
    cp "$target/release/direct" "$target/bench/direct-tls"
    binaries+=("direct-tls=$target/bench/direct-tls")
  fi
  peer --package direct --release
  binaries+=("direct=$target/release/direct")
fi

exec python3 -B "$here/compare.py" "$mode" "$target/tool/harness" "$target/bench" "${binaries[@]}"
