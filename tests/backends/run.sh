#!/usr/bin/env bash
# Starts both services and the stack of infra/compose.yaml, without Grafana and without containers.
# The programs read the same files; only addresses and folders differ. Checks the metrics, logs and
# traces that arrive, and the links between them. The last line is "N passed, N failed".
#
# Needs Go, python3 and Rust. Two programs are optional, and checks that need them are skipped:
#
#   Loki   takes minutes to build: run `compile.sh loki`, or set BATON_LOKI to its path
#   Tempo  cannot be built from its Go module: set BATON_TEMPO to the path of a released program
#
# BATON_COLLECTOR is the path of a Collector to use instead of the one that is built. BATON_PICTURES
# is a folder into which pictures of the dashboards are written.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/backends
# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"
# shellcheck source=../collector/build.sh
. "$here/../collector/build.sh"

"$here/compile.sh"
if [ -z "${BATON_COLLECTOR:-}" ]; then
  build_collector "$root/target/collector"
  BATON_COLLECTOR=$root/target/collector/otelcol
fi
if [ -z "${BATON_LOKI:-}" ] && [ -x "$work/loki" ]; then BATON_LOKI=$work/loki; fi
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --workspace --bins

cached_venv "$work/python" "$root/infra/grafana/requirements.txt" >&2 || {
  echo "the packages that write the dashboards cannot be installed"
  exit 77 # `.ci/run` reports it as skipped.
}

if [ -n "${BATON_PICTURES:-}" ]; then
  "$work/python/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/pictures.txt"
fi

# `collector` and the modules that it imports are in tests/collector, and `checks` and `pages`
# are in tests.
PYTHONPATH="$here/../collector:$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$work/python/venv/bin/python" "$here/check.py" "$root" "$work" "$BATON_COLLECTOR" \
  "${CARGO_TARGET_DIR:-$root/target}/debug" "${BATON_LOKI:-}" "${BATON_TEMPO:-}" "${BATON_PICTURES:-}"
