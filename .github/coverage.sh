#!/usr/bin/env bash
# Measures the line coverage of the tests of the workspace.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/coverage.sh FOLDER

  FOLDER  receives lcov.info and summary.txt

Needs cargo-llvm-cov and the component llvm-tools of rustup. Tests that start programs of the
workspace count the lines of these programs too.
END
}

case ${1:-} in
  --help | -h)
    usage
    exit 0
    ;;
  "" | -*)
    usage >&2
    exit 2
    ;;
esac
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo llvm-cov --version >/dev/null 2>&1 || {
  echo "cargo-llvm-cov is not installed: cargo install cargo-llvm-cov, and rustup component add llvm-tools" >&2
  exit 2
}

cargo llvm-cov --workspace --no-report
cargo llvm-cov report --lcov --output-path "$folder/lcov.info"
cargo llvm-cov report --summary-only | tee "$folder/summary.txt"
