#!/usr/bin/env bash
# Starts the Grafana stack of infra/compose.yaml without containers: the real programs with the same
# files, except for addresses and folders, and both services in front. Checks the metrics, logs and
# traces that arrive, and the links between them. The last line is "N passed, N failed".
#
# Needs Go, python3 and Rust. Grafana is not started. Loki is started only if it is there, because
# its build takes minutes: `tests/backends/compile.sh loki`, or BATON_LOKI=PROGRAM. Tempo cannot be
# built from its Go module. It is started if BATON_TEMPO names the program of a release.
# BATON_COLLECTOR replaces the Collector.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/backends
# shellcheck source=../collector/build.sh
. "$here/../collector/build.sh"

"$here/compile.sh"
if [ -z "${BATON_COLLECTOR:-}" ]; then
  build_collector "$root/target/collector"
  BATON_COLLECTOR=$root/target/collector/otelcol
fi
if [ -z "${BATON_LOKI:-}" ] && [ -x "$work/loki" ]; then BATON_LOKI=$work/loki; fi
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --workspace --bins

# `collector` and the modules that it imports are in tests/collector, and `checks` is in tests.
PYTHONPATH="$here/../collector:$here/.." PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" "$here/check.py" "$root" "$work" "$BATON_COLLECTOR" \
  "${CARGO_TARGET_DIR:-$root/target}/debug" "${BATON_LOKI:-}" "${BATON_TEMPO:-}"
