#!/usr/bin/env bash
# Checks the workflows in .github and their scripts, and searches for secrets. The last line is
# "N passed, N failed".
#
# Needs python3, Go and Rust; installs zizmor, actionlint, gitleaks and cargo-cyclonedx under target and
# keeps them there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/delivery
cyclonedx_version=0.5.9
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"
# shellcheck source=../go-program.sh
. "$here/../go-program.sh"

if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "zizmor cannot be installed"
  exit "$skipped"
fi
build_go_program "$work/bin/actionlint" "$here/programs/actionlint" github.com/rhysd/actionlint/cmd/actionlint
build_go_program "$work/bin/gitleaks" "$here/programs/gitleaks" github.com/zricethezav/gitleaks/v8
if [ "$("$work/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $cyclonedx_version" ]; then
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$work" "cargo-cyclonedx@$cyclonedx_version" || {
    echo "cargo-cyclonedx cannot be installed"
    exit "$skipped"
  }
fi

# `checks` is a module of this folder's parent.
PATH="$work/bin:$work/venv/bin:$PATH" PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$root"
