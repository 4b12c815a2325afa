#!/usr/bin/env bash
# Builds Baton's `noop` and the functions that it is compared with, measures them with working and
# failing collectors, and prints a Markdown table.
#
#   bench/run.sh            everything; ten minutes on two cores, most of which is building
#   bench/run.sh --quick    fewer rounds, and only the comparison without TLS
#   bench/run.sh --check    only the figures whose limits CI enforces; fails if one is exceeded
#
# Every run is also a line of JSON in target/bench/runs.jsonl. See README.md in this folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
target=$root/target
export CARGO_INCREMENTAL=0
# Exit code for a step of .ci/run whose tool is missing.
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

# Valgrind counts instructions. Without it the table has no such rows, and --check has too few
# limits left to be of use.
if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends valgrind; } >/dev/null 2>&1 || true
fi
if [ "$mode" = check ] && ! command -v valgrind >/dev/null; then
  echo "valgrind is not installed and cannot be installed: no instructions to count"
  exit "$skipped"
fi

# One target directory, so that the builds share dependencies. One call for each function, because
# cargo would unify the features of functions that are built together.
peer() { cargo build --quiet --locked --manifest-path "$here/Cargo.toml" --target-dir "$target" "$@" >&2; }
peer --package harness --profile tool
peer --package bare --release
ours() { (cd "$root" && cargo build --quiet --locked "$@" >&2); }
ours --package baton-bench-functions --release
# This binary is not measured. Tests build it with the same profile.
ours --package baton-local --bin baton

binaries=("bare=$target/release/bare" "noop=$target/release/noop" "logging=$target/release/logging" "baton=$target/debug/baton")
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
