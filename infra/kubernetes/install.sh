#!/usr/bin/env bash
# Installs or updates an overlay. Exits with 0 if all pods are ready, 1 if not, and 2 for a usage
# error or a missing tool.
set -euo pipefail

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<END
usage: infra/kubernetes/install.sh OVERLAY [--context NAME] [--dry-run]

  OVERLAY         $(list_overlays), or a folder with a kustomization.yaml
  --context NAME  context of kubectl; the current one by default
  --dry-run       build the overlay, and print the calls to the cluster without making them

environment:
  WAIT_SECONDS    time limit for the pods of each workload to become ready; 300 by default

Can be repeated: applies only what has changed.
END
}

parse_arguments 1 "$@"
need_tools kubectl
select_overlay "${arguments[0]}"
refuse_example_values
check_cluster

# need_secret NAME KEY...: stops if a Secret that the pods need does not exist.
need_secret() {
  local name=$1 key literals=
  shift
  if [ -n "$dry_run" ]; then
    kube get secret "$name" --namespace "$services_namespace"
    return
  fi
  kube get secret "$name" --namespace "$services_namespace" --output name >/dev/null 2>&1 && return
  for key in "$@"; do literals+=" --from-literal $key=..."; done
  fail "the Secret $name does not exist. Create it:
  kubectl create namespace $services_namespace
  kubectl create secret generic $name --namespace $services_namespace$literals"
}

if grep -q 'name: onboarding-api-aws$' "$manifests"; then need_secret onboarding-api-aws AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; fi

# The pods send to the agent of Coralogix' chart, which has no Service.
# shellcheck disable=SC2016 # Kubernetes expands it.
if grep -q 'value: http://$(NODE_IP):4318' "$manifests"; then
  if [ -n "$dry_run" ]; then
    kube get daemonset coralogix-opentelemetry-agent --namespace "$telemetry_namespace"
  elif [ "$(kube get daemonset coralogix-opentelemetry-agent --namespace "$telemetry_namespace" --output 'jsonpath={.status.numberReady}' 2>/dev/null || true)" -ge 1 ] 2>/dev/null; then
    echo "ok      Coralogix' agent runs"
  else
    fail "Coralogix' agent is not ready in the namespace $telemetry_namespace. Install it first:
  infra/helm/install-coralogix.sh --help"
  fi
fi

# Namespaces of other software that the manifests put objects into.
while read -r namespace; do
  if [ "$namespace" = - ] || has_object Namespace "$namespace"; then continue; fi
  if [ -n "$dry_run" ]; then
    kube get namespace "$namespace"
  elif ! kube get namespace "$namespace" --output name >/dev/null 2>&1; then
    fail "the namespace $namespace does not exist. Install Grafana and Prometheus there, as with the chart kube-prometheus-stack, or remove the component from the overlay."
  fi
done < <(objects | awk '{ print $2 }' | sort -u)

# The manifests take precedence over changes by hand, such as `kubectl rollout undo`.
if ! errors=$(kube apply --server-side --field-manager baton --force-conflicts --filename "$manifests" 2>&1); then
  fail "the manifests were not applied:
$errors"
fi
if [ -z "$dry_run" ]; then echo "ok      applied $(objects | wc -l) objects"; fi
wait_for_rollouts || fail "The installation is not complete. Correct the cause, and run the script again."
if [ -n "$dry_run" ]; then
  echo "dry run: nothing was called"
else
  echo "installed $overlay_name. Check it with infra/kubernetes/validate.sh $overlay_name"
fi
