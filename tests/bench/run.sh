#!/usr/bin/env bash
# Checks the library's cost against limits that do not depend on the load of the machine:
# instructions, threads, memory and size, the spans of a large batch, and the spans and invocations
# during a failure of the collector. Durations are measured by `bench/run.sh` on an idle machine.
# Exits with 77 if instructions cannot be counted.
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/../../bench/run.sh" --check
