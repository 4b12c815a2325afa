#!/usr/bin/env bash
# Builds Prometheus, promtool and a reader of the files' formats, for run.sh.
#
#   compile.sh       takes about two minutes on two cores
#   compile.sh loki  builds Loki too, which takes another four
#
# Needs Go. The programs are kept under target/backends.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/backends

# shellcheck source=build.sh
. "$here/build.sh"

command -v go >/dev/null || skip "the backends cannot be built: Go is not installed"
case ${1:-} in
  "") ;;
  loki) build_loki ;;
  *)
    echo "unknown argument '$1', expected loki" >&2
    exit 2
    ;;
esac
build_formats
build_prometheus
