#!/bin/sh
# Fuzzes the event reader with libFuzzer for a minute, starting from the seeds in fuzz/corpus/, and
# fails if an input violates an invariant.
#
#   tests/fuzz/run.sh          runs for 60 seconds
#   tests/fuzz/run.sh 3600     runs for an hour
#
# It needs a C++ compiler for libFuzzer, but no nightly toolchain: stable rustc can instrument the
# code, and in code without `unsafe` an address sanitizer finds little. With cargo-fuzz and a
# nightly toolchain, `cargo +nightly fuzz run event` does the same. `cargo test` also checks
# generated and corrupted events, without libFuzzer.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
seconds=${1:-60}
# Seeds have up to four kilobytes. Longer inputs slow down each run and reach no new code.
max_length=8192
# Time limit for one input in seconds, because an invocation has a deadline.
input_limit=5
# A separate target folder, because the flags differ from all other builds. libFuzzer's findings are
# in it too.
export CARGO_TARGET_DIR="$root/target/fuzz"
found=$CARGO_TARGET_DIR/found
host=$(rustc -vV | sed -n 's/^host: //p')

skip() {
    echo "$1"
    exit 77
}

command -v c++ >/dev/null || skip "libFuzzer cannot be built: c++ is not installed"
cd "$root/fuzz"
# The versions that the workspace is tested with; cargo adds the dependencies of libFuzzer.
cp "$root/Cargo.lock" Cargo.lock
cargo fetch --quiet || skip "the crates of the fuzz target cannot be fetched"

# Counters at every edge and every comparison, as cargo-fuzz sets them. The flags replace those of
# the environment. With --target they do not apply to build scripts and macros.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="--cfg fuzzing $coverage -Ccodegen-units=1" cargo build --quiet --release --target "$host"

mkdir -p "$found"
corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$CARGO_TARGET_DIR/$host/release/event" "$corpus" corpus/event -max_total_time="$seconds" -max_len="$max_length" -timeout="$input_limit" \
    -artifact_prefix="$found/" -print_final_stats=1 >"$corpus.log" 2>&1 || {
    # The last lines name the violated invariant and the file with the input.
    tail -n 60 "$corpus.log"
    rm -f "$corpus.log"
    exit 1
}
grep -E '^(Done|stat::(new_units_added|peak_rss_mb))' "$corpus.log"
rm -f "$corpus.log"
