#!/usr/bin/env bash
# Renders Coralogix' chart with otel-integration-values.yaml, and writes the result to
# tests/kubernetes/golden, where tests/kubernetes/helm_checks.py checks it. Exits with 2 for a usage
# error or a missing tool.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=chart.sh
. "$here/chart.sh"
values=$here/otel-integration-values.yaml
root=$(cd "$here/../.." && pwd)
output=$root/tests/kubernetes/golden/otel-integration.yaml
# Version of Kubernetes that the chart is rendered for. Without it, the result would depend on the
# version of Helm.
kube_version=1.34.0

usage() {
  cat <<END
usage: infra/helm/render.sh [--dry-run] [--output FILE] [INTEGRATION COLLECTOR]

Renders the chart $CHART $CHART_VERSION. Needs Helm 3. Run it after each change of
otel-integration-values.yaml.

  INTEGRATION    folder of the chart: otel-integration/k8s-helm in a clone of
                 https://github.com/coralogix/telemetry-shippers
  COLLECTOR      folder of the chart that it depends on: charts/opentelemetry-collector
                 in a clone of https://github.com/coralogix/opentelemetry-helm-charts
  --output FILE  file to write; tests/kubernetes/golden/otel-integration.yaml by default
  --dry-run      print the calls of Helm without making them, and write nothing

Without the two folders, Helm downloads the chart from Coralogix' repository.
END
}

fail() {
  echo "$1" >&2
  exit "${2:-1}"
}

dry_run=
folders=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --dry-run) dry_run=yes ;;
    --output)
      [ $# -ge 2 ] || fail "--output: expected a file" 2
      output=$2
      shift
      ;;
    -*)
      usage >&2
      exit 2
      ;;
    *) folders+=("$1") ;;
  esac
  shift
done
if [ ${#folders[@]} != 0 ] && [ ${#folders[@]} != 2 ]; then
  usage >&2
  exit 2
fi

# Prints the version in a folder's Chart.yaml.
version() { sed -n 's/^version: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1/Chart.yaml"; }

for folder in ${folders[@]+"${folders[@]}"}; do
  [ -f "$folder/Chart.yaml" ] || fail "$folder: expected the folder of a chart, found no Chart.yaml" 2
done
if [ ${#folders[@]} = 2 ] && [ "$(version "${folders[0]}")" != "$CHART_VERSION" ]; then
  fail "${folders[0]}: expected version $CHART_VERSION, found $(version "${folders[0]}"); check out that version, or change CHART_VERSION in infra/helm/chart.sh" 2
fi
[ -n "$dry_run" ] || command -v helm >/dev/null || fail "helm is not installed: https://helm.sh/docs/intro/install/" 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chart=$work/$CHART

call() {
  if [ -n "$dry_run" ]; then
    echo "$*"
  else
    "$@"
  fi
}

# Copies the chart with the dependency. The chart has further dependencies, none of which the values
# use. Helm would refuse the chart without them, so they are removed from Chart.yaml.
assemble() {
  cp -R "${folders[0]}" "$chart"
  mkdir -p "$chart/charts"
  cp -R "${folders[1]}" "$chart/charts/opentelemetry-collector"
  awk '
    /^dependencies:/ { listed = 1; print; next }
    /^[^ ]/ { listed = 0 }
    listed && /^  - name:/ { kept = $3 == "opentelemetry-collector" }
    !listed || kept
  ' "${folders[0]}/Chart.yaml" >"$chart/Chart.yaml"
}

if [ ${#folders[@]} = 2 ]; then
  [ -n "$dry_run" ] || assemble
else
  # Helm ignores the repository if the current folder has an entry with the chart's name.
  cd "$work"
  call helm pull "$CHART" --repo "$CHART_REPOSITORY" --version "$CHART_VERSION" --untar
fi
render=(helm template "$RELEASE" "$chart" --namespace "$NAMESPACE" --kube-version "$kube_version" --values "$values")
if [ -n "$dry_run" ]; then
  echo "${render[*]}"
  echo "dry run: $output was not written"
  exit
fi
# The chart ends some lines with spaces.
"${render[@]}" | sed 's/[[:space:]]*$//' >"$work/body"

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1; }

collector=$(sed -n 's|.*helm\.sh/chart: opentelemetry-agent-||p' "$work/body" | head -n 1)
{
  cat <<END
# Written by infra/helm/render.sh. Do not edit.
#
# chart: $CHART $CHART_VERSION
# dependency: opentelemetry-collector $collector
# values: sha256:$(sha256 "$values")
# body: sha256:$(sha256 "$work/body")
#
# Generated from charts by Coralogix and the OpenTelemetry authors, which have the Apache License
# 2.0 (https://www.apache.org/licenses/LICENSE-2.0):
# https://github.com/coralogix/telemetry-shippers, folder otel-integration/k8s-helm
# https://github.com/coralogix/opentelemetry-helm-charts, folder charts/opentelemetry-collector
END
  cat "$work/body"
} >"$work/rendered"
mkdir -p "$(dirname "$output")"
mv "$work/rendered" "$output"
echo "wrote $output"
