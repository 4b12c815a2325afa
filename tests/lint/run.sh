#!/usr/bin/env bash
# Runs linters over the scripts and the deployed files, and proves with broken copies that each
# linter reports mistakes. tests/template runs cfn-lint over template.yaml. The last line
# is "N passed, N failed".
#
# Needs python3 and git, and Go for two of the linters; installs the others under target and keeps
# them there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/lint
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

if ! { cached_venv "$work" "$here/requirements.txt" && cached_venv "$work/checkov" "$here/checkov.txt" &&
  cached_venv "$root/target/sam" "$here/../sam.txt"; } >&2; then
  echo "the linters cannot be installed"
  exit "$skipped"
fi

# `spelling` is a module of this folder's parent.
PATH="$work/venv/bin:$PATH:$work/checkov/venv/bin:$root/target/sam/venv/bin" PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$root"
