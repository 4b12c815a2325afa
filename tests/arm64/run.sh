#!/usr/bin/env bash
# Runs the arm64 function in QEMU behind `baton up`, with a DynamoDB table of moto. compile.sh builds
# it, as it is deployed, and lists what this needs. The last line is "N passed, N failed".
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/arm64
qemu=$work/qemu
function=$work/sam/OnboardingFunction/bootstrap
# Has the name of the package, because `baton up` names the function after its file.
wrapper=$work/onboarding-lambda

write_wrapper() {
  printf '#!/bin/sh\nexec %q -L %q %q\n' "$qemu/usr/bin/qemu-aarch64-static" "$qemu/usr/aarch64-linux-gnu" "$function" >"$wrapper"
  chmod +x "$wrapper"
}

"$here/compile.sh"
write_wrapper

# `table` is a module of tests/moto, `stack` is one of tests/cargo-lambda, and `checks` and `servers`
# are in tests.
PYTHONPATH="$here/../moto:$here/../cargo-lambda:$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$root/target/moto/venv/bin/python" "$here/check.py" \
  "$root" "${CARGO_TARGET_DIR:-$root/target}/debug/baton" "$function" "$wrapper"
