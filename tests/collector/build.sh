# shellcheck shell=bash
# Sourced by scripts that run the real OpenTelemetry Collector.

# shellcheck source=../go-program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../go-program.sh"

# build_collector FOLDER builds the Collector as FOLDER/otelcol, unless it is there already. Building
# takes minutes.
build_collector() {
  build_go_program "$1/otelcol" "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/distribution" .
}
