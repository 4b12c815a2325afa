#!/usr/bin/env bash
# Checks the library's cost against limits that do not depend on the load of the machine:
# instructions, threads, memory and size, the spans of a large batch, and the spans and invocations
# during a failure of the collector; and the sender's CPU time and calls, with gathering compared with
# those without. Durations are measured by `bench/run.sh` and `bench/sender.sh` on an idle machine.
# Exits with 77 if instructions cannot be counted.
set -euo pipefail

bench=$(dirname "${BASH_SOURCE[0]}")/../../bench
"$bench/sender.sh" --check
exec "$bench/run.sh" --check
