#!/usr/bin/env bash
# Runs the README's first command without a terminal. It must find all of its numbers as expected,
# and must not write escape sequences into a file.
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

check "cargo baton demo exits with 0 (found $code)" test "$code" = 0
check "it prints a report" test -s "$output"
check "no escape sequences outside a terminal" no_escape_sequences

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
