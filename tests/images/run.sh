#!/usr/bin/env bash
# Starts the programs of the images of infra/docker. compile.sh builds the images, and lists what
# this needs. The last line is "N passed, N failed".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

"$here/compile.sh"

# `checks` is a module of this folder's parent.
PYTHONPATH="$here/.." PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" "$here/check.py" "$root/target/images/built" "${CARGO_TARGET_DIR:-$root/target}/debug/baton"
