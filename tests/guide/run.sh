#!/usr/bin/env bash
# Builds the guide in docs/ as a book, checks its pages, and compiles and runs their Rust blocks as
# doc tests. The last line is "N passed, N failed". The book is then in target/guide/book.
#
# Needs python3 and Rust; installs mdBook under target/guide and keeps it there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/guide
# A folder for mdBook alone, because pip replaces the folder `bin` of an earlier installation.
tools=$work/tools
book=$work/book
log=$work/build.log
mdbook_version=0.5.4
# Exit code that `.ci/run` reports as skipped.
skipped=77

# Prints the path of mdBook. A build from source takes minutes, so a binary is tried first; the
# requirements file contains the checksum of its archive.
find_mdbook() {
  local candidate
  for candidate in "$(command -v mdbook || true)" "$tools/bin/mdbook"; do
    if [ -x "$candidate" ] && [ "$("$candidate" --version)" = "mdbook v$mdbook_version" ]; then
      echo "$candidate"
      return
    fi
  done
  {
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --upgrade \
      --target "$tools" --requirement "$root/.ci/mdbook.txt" ||
      cargo install --quiet --locked --debug --no-default-features --root "$tools" "mdbook@$mdbook_version"
  } >&2 || return 1
  "$tools/bin/mdbook" --version >&2 && echo "$tools/bin/mdbook"
}

if ! mdbook=$(find_mdbook); then
  echo "mdBook $mdbook_version cannot be installed, neither as a binary nor from source"
  exit "$skipped"
fi

mkdir -p "$work"
rm -rf "$book"
"$mdbook" build "$root/docs" --dest-dir "$book" >"$log" 2>&1 || {
  cat "$log"
  exit 1
}
# mdBook only logs a missing include, and succeeds.
if grep -E 'WARN|ERROR' "$log"; then
  echo "mdBook reports problems: see above"
  exit 1
fi

cargo test --quiet --locked --manifest-path "$root/Cargo.toml" --package baton-examples --all-features --doc
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/check.py" "$book"
