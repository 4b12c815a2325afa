#!/usr/bin/env bash
# Holds what the library costs to its limits: instructions, threads, memory and size, which do not depend on how busy the machine is, the
# spans of a large batch, and what becomes of spans and invocations when the collector is out of order. Times are for `bench/run.sh` on a
# quiet machine. Ends with 77 where instructions cannot be counted.
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/../../bench/run.sh" --check
