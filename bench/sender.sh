#!/usr/bin/env bash
# Builds the onboarding API with gathering and without, measures both and the sending library against
# a fake SQS, and prints a Markdown table.
#
#   bench/sender.sh           everything; ten minutes on two cores, most of which is building
#   bench/sender.sh --check   only the library; fails if a figure exceeds its limit
#   bench/sender.sh --soak    the memory of the API in ten minutes at full load
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
target=$root/target
export CARGO_INCREMENTAL=0

cargo build --quiet --locked --manifest-path "$here/Cargo.toml" --target-dir "$target" --package sender --release >&2
case ${1:-} in
  --check) exec python3 -B "$here/sender.py" "$target/release/sender" --check --rounds 3 ;;
  "") options=() ;;
  --soak) options=(--soak 600) ;;
  *)
    sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac

mkdir -p "$target/bench"
ours() { (cd "$root" && cargo build --quiet --locked --release "$@" >&2); }
ours --package onboarding-api --no-default-features
cp "$target/release/onboarding-api" "$target/bench/onboarding-api-without-gathering"
ours --package onboarding-api
ours --package baton-local --bin baton
exec python3 -B "$here/sender.py" "$target/release/sender" \
  --service "$target/release/onboarding-api" "$target/bench/onboarding-api-without-gathering" "$target/release/baton" "${options[@]}"
