#!/usr/bin/env bash
# Holds what the library costs to its limits: instructions, threads, memory and size, which do not depend on how busy the machine is, and
# spans of a large batch. Times are for `bench/run.sh` on a quiet machine. Ends with 77 where instructions cannot be counted.
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/../../bench/run.sh" --check
