#!/bin/sh
# Fuzzes the reading of events with libFuzzer for a minute, from the seeds in fuzz/corpus/, and fails if an input breaks a promise.
#
#   tests/fuzz/run.sh          for 60 seconds
#   tests/fuzz/run.sh 3600     for an hour
#
# It needs a C++ compiler for libFuzzer and no nightly toolchain: the instrumentation is the compiler's own, and without unsafe code an
# address sanitizer has little to find. With cargo-fuzz at hand, `cargo fuzz run event` does the same. Events are also generated and
# spoilt in `cargo test`, where no libFuzzer is to be had.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
seconds=${1:-60}
# Seeds have up to four kilobytes. Longer inputs make each run slower and show nothing new.
max_length=8192
# No input may take longer: an invocation has a deadline.
input_limit=5
# What is kept beside the build of everything else, and what libFuzzer finds.
export CARGO_TARGET_DIR="$root/target/fuzz"
found=$CARGO_TARGET_DIR/found
host=$(rustc -vV | sed -n 's/^host: //p')

skip() {
    echo "$1"
    exit 77
}

command -v c++ >/dev/null || skip "there is no C++ compiler to build libFuzzer with"
cd "$root/fuzz"
# The versions that everything else is tested with; cargo adds those of libFuzzer.
cp "$root/Cargo.lock" Cargo.lock
cargo fetch --quiet || skip "the crates of the fuzz target cannot be fetched"

# Counters at every edge and at every comparison: what cargo-fuzz sets, too. The flags replace those of the environment, and with --target
# they do not reach build scripts and macros.
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
    # The last lines say what was broken, and in which file the input is.
    tail -n 60 "$corpus.log"
    rm -f "$corpus.log"
    exit 1
}
grep -E '^(Done|stat::(new_units_added|peak_rss_mb))' "$corpus.log"
rm -f "$corpus.log"
