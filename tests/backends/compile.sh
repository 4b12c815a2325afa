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

# shellcheck source=../go-program.sh
. "$here/../go-program.sh"

# Compiling without optimisation takes a third of the time.
unoptimised=(-gcflags "all=-N -l")

case ${1:-} in
  "") ;;
  loki) build_go_program "$work/loki" "$here/loki" github.com/grafana/loki/v3/cmd/loki "${unoptimised[@]}" ;;
  *)
    echo "unknown argument '$1', expected loki" >&2
    exit 2
    ;;
esac
build_go_program "$work/formats" "$here/formats" .
# Without service discovery, because all targets are static.
for program in prometheus promtool; do
  build_go_program "$work/$program" "$here/prometheus" "github.com/prometheus/prometheus/cmd/$program" "${unoptimised[@]}" -tags remove_all_sd
done
