#!/usr/bin/env bash
# Builds the overlays in infra/kubernetes, and checks them, the scripts, and the values of Coralogix'
# chart. The last line is "N passed, N failed".
#
# KUBERNETES_API_SERVER=1 also installs the overlays on a real API server. Its programs are compiled
# from their Go modules, which takes about ten minutes the first time.
#
# Needs python3, Go, Rust and curl; installs kustomize, kube-score, checkov and the schemas of
# Kubernetes under target, builds the Collector there as tests/collector does, and keeps them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/kubernetes
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"
# shellcheck source=../go-program.sh
. "$here/../go-program.sh"

if ! cached_venv "$work" "$here/requirements.txt" >&2; then
  echo "the schemas of Kubernetes cannot be installed"
  exit "$skipped"
fi
build_go_program "$work/kustomize" "$here/programs/kustomize" sigs.k8s.io/kustomize/kustomize/v5
build_go_program "$work/kube-score" "$here/programs/kube-score" github.com/zegl/kube-score/cmd/kube-score

# The folder and the requirements of tests/lint, so that checkov is installed once.
checkov=$root/target/lint/checkov
cached_venv "$checkov" "$here/../lint/checkov.txt" >&2 || checkov=
# In another process, because the function exits with 77 if the Collector cannot be built.
collector=$root/target/collector
status=0
bash -euc '. "$1" && build_collector "$2"' bash "$here/../collector/build.sh" "$collector" || status=$?
case $status in
  0) ;;
  "$skipped") collector= ;;
  *) exit "$status" ;;
esac

cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package onboarding-api --package onboarding-lambda --package baton-local --bins
services=${CARGO_TARGET_DIR:-$root/target}/debug

api_server=
if [ "${KUBERNETES_API_SERVER:-}" = 1 ]; then
  api_server=$work/api-server
  programs=$here/programs
  # A failure, and not a reason to skip the suite, because it was requested.
  (
    for program in kubectl kube-apiserver kube-controller-manager; do
      build_go_program "$api_server/$program" "$programs/kubernetes" "k8s.io/kubernetes/cmd/$program"
    done
    build_go_program "$api_server/etcd" "$programs/etcd" go.etcd.io/etcd/server/v3
  ) || exit 1
fi

# `checks` and `servers` are modules of this folder's parent, and `collector`, `services` and those that
# they import are in tests/collector.
PYTHONPATH="$here:$here/../collector:$here/.." PYTHONDONTWRITEBYTECODE=1 exec "$work/venv/bin/python" "$here/check.py" "$root" \
  "$work/kustomize" "$work/kube-score" "${checkov:+$checkov/venv/bin/checkov}" "${collector:+$collector/otelcol}" "$services" "$api_server"
