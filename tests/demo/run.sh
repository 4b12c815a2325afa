#!/usr/bin/env bash
# The README's first command, without a terminal: it must find its own numbers right, and print no colour into a file.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
output=$(mktemp)
trap 'rm -f "$output"' EXIT

passed=0
failed=0
check() {
  local title=$1
  shift
  if "$@"; then
    echo "ok     $title"
    passed=$((passed + 1))
  else
    echo "FAILED $title"
    failed=$((failed + 1))
  fi
}

code=0
cargo baton demo </dev/null >"$output" || code=$?
cat "$output"

escape=$(printf '\033')
no_escape_sequences() { ! grep --quiet --fixed-strings "$escape" "$output"; }

check "cargo baton demo exits 0 (it did with $code)" test "$code" = 0
check "it printed something" test -s "$output"
check "no escape sequences outside a terminal" no_escape_sequences

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
