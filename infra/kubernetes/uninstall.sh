#!/usr/bin/env bash
# Removes an overlay. Exits with 0 if its objects are deleted, 1 if not, and 2 for a usage error or a
# missing tool.
set -euo pipefail

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<END
usage: infra/kubernetes/uninstall.sh OVERLAY [--delete-data] [--context NAME] [--dry-run]

  OVERLAY         $(list_overlays), or a folder with a kustomization.yaml
  --delete-data   also delete the volumes with traces and queues, and the namespaces if nothing
                  else is in them
  --context NAME  context of kubectl; the current one by default
  --dry-run       build the overlay, and print the calls to the cluster without making them

environment:
  WAIT_SECONDS    time limit of the deletion; 300 by default

Messages in the queue and Secrets stay. Can be repeated.
END
}

delete_data=
parse_option() {
  [ "$1" = --delete-data ] && delete_data=yes
}

parse_arguments 1 "$@"
need_tools kubectl
select_overlay "${arguments[0]}"
check_cluster

# The manifests without the namespaces, whose deletion would delete everything else in them.
awk 'BEGIN { RS = "---\n" } NF && $0 !~ /(^|\n)kind: Namespace\n/ { printf "---\n%s", $0 }' "$manifests" >"$work/objects.yaml"
if ! errors=$(kube delete --ignore-not-found --wait --timeout "${wait_seconds}s" --filename "$work/objects.yaml" 2>&1); then
  fail "not all objects were deleted:
$errors
Correct the cause, and run the script again."
fi
if [ -z "$dry_run" ]; then echo "ok      deleted the objects of $overlay_name"; fi

# Jobs that were created from the CronJob have its label.
kube delete jobs --namespace "$services_namespace" --selector app.kubernetes.io/name=load --ignore-not-found >/dev/null

# The claims of a StatefulSet have the labels that select its pods.
volumes() {
  local name
  while read -r _ _ name; do
    kube get persistentvolumeclaims --namespace "$telemetry_namespace" --selector "app.kubernetes.io/name=$name" --output 'jsonpath={.items[*].metadata.name}' 2>/dev/null || true
    echo
  done < <(objects StatefulSet)
}

remaining=$(volumes | xargs)
if [ -n "$delete_data" ]; then
  for claim in ${remaining:-${dry_run:+CLAIM}}; do
    kube delete persistentvolumeclaim "$claim" --namespace "$telemetry_namespace" --ignore-not-found --timeout "${wait_seconds}s" ||
      fail "the volume claim $claim was not deleted. A pod may still use it: kubectl describe persistentvolumeclaim $claim --namespace $telemetry_namespace"
  done
elif [ -n "$remaining" ]; then
  echo "-       volumes remain in $telemetry_namespace: $remaining. --delete-data deletes them"
fi

# others NAMESPACE: prints objects that are not part of every namespace.
others() {
  kube get pods,services,deployments,statefulsets,daemonsets,jobs,cronjobs,secrets,configmaps,persistentvolumeclaims --namespace "$1" --output name 2>/dev/null |
    grep -v '^configmap/kube-root-ca.crt$' || true
}

while read -r _ _ namespace; do
  if [ -z "$delete_data" ]; then
    echo "-       namespace $namespace remains. --delete-data deletes it if it is empty"
    continue
  fi
  found=$(others "$namespace" | tr '\n' ' ')
  if [ -n "$found" ]; then
    echo "-       namespace $namespace remains, because of ${found% }"
  else
    kube delete namespace "$namespace" --ignore-not-found --timeout "${wait_seconds}s" ||
      fail "the namespace $namespace was not deleted: kubectl describe namespace $namespace"
    if [ -z "$dry_run" ]; then echo "ok      deleted the namespace $namespace"; fi
  fi
done < <(objects Namespace)
if [ -n "$dry_run" ]; then echo "dry run: nothing was called"; fi
