#!/usr/bin/env bash
# Checks template.yaml, infra/ecs and infra/collector. Needs python3; installs Python packages into
# a temporary folder, which is removed at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Some systems ship python3 without the module that installs pip in a venv; virtualenv includes pip.
if ! python3 -m venv "$scratch/venv" >"$scratch/venv.log" 2>&1; then
  rm -rf "$scratch/venv"
  if ! { python3 -m pip install --quiet --target "$scratch/virtualenv" virtualenv &&
    PYTHONPATH="$scratch/virtualenv" python3 -m virtualenv --quiet "$scratch/venv"; } >>"$scratch/venv.log" 2>&1; then
    echo "a virtual environment cannot be created: neither 'python3 -m venv' nor virtualenv works here" >&2
    cat "$scratch/venv.log" >&2
    exit 1
  fi
fi

"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
# `collector_configuration` and `spelling` are modules of this folder's parent, and `embed` is in
# infra/collector.
PYTHONPATH="$here/..:$here/../../infra/collector" PYTHONDONTWRITEBYTECODE=1 "$scratch/venv/bin/python" "$here/check.py"
