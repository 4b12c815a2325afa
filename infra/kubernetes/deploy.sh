#!/usr/bin/env bash
# Installs an overlay with a new image of the onboarding API, validates it, and goes back to the
# previous version if that fails. For continuous delivery. Exits with 0 if the new version works, 1 if
# not, and 2 for a usage error or a missing tool.
set -euo pipefail

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<END
usage: infra/kubernetes/deploy.sh OVERLAY IMAGE [--context NAME] [--dry-run]

  OVERLAY         $(list_overlays), or a folder with a kustomization.yaml
  IMAGE           image of the onboarding API, with a tag or a digest
  --context NAME  context of kubectl; the current one by default
  --dry-run       build the overlay, and print the calls without making them

environment:
  those of validate.sh, which checks the new version

If the new version is not ready or a check fails, the script restores the previous pods of the API.
All other objects keep their new state.
END
}

parse_arguments 2 "$@"
need_tools kubectl curl
image=${arguments[1]}
[[ $image =~ ^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$ && $image != *:latest ]] ||
  fail "IMAGE: expected an image with a tag other than latest, or with a digest, found '$image'" 2
select_overlay "${arguments[0]}"

# An overlay on top of the selected one. Kustomize does not accept absolute paths.
top=$work/overlay
mkdir "$top"
old=$(awk '/^  name: onboarding-api$/ { found = 1 } /^---/ { found = 0 } found && /^ +image: / { print $2; exit }' "$manifests")
cat >"$top/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: ["$(realpath --relative-to "$(realpath "$top")" "$overlay")"]
patches:
  - target: {kind: Deployment, name: onboarding-api}
    patch: |
      - {op: test, path: /spec/template/spec/containers/0/name, value: onboarding-api}
      - {op: replace, path: /spec/template/spec/containers/0/image, value: "$image"}
END
export OVERLAY_NAME=${arguments[0]}
select_overlay "$top"
echo "image   ${old:-unknown} is replaced with $image"

scripts_options=(${context:+--context "$context"} ${dry_run:+--dry-run})
revision() {
  kube get deployment onboarding-api --namespace "$services_namespace" --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}' 2>/dev/null || true
}

previous=$(revision)
problem=
if ! "$here/install.sh" "$top" "${scripts_options[@]}"; then
  problem="the new version was not installed"
elif ! "$here/validate.sh" "$top" "${scripts_options[@]}"; then
  problem="the new version does not work"
fi
if [ -n "$dry_run" ]; then exit; fi
if [ -z "$problem" ]; then
  echo "deployed $image"
  exit
fi

current=$(revision)
if [ -z "$previous" ]; then
  fail "$problem. There is no previous version to go back to: this was the first installation."
elif [ "$current" = "$previous" ]; then
  fail "$problem. The pods of the API were not changed, so there is nothing to go back to."
fi
kube rollout undo deployment/onboarding-api --namespace "$services_namespace" --to-revision "$previous" ||
  fail "$problem, and the previous version was not restored. Restore it:
  kubectl rollout undo deployment/onboarding-api --namespace $services_namespace --to-revision $previous"
kube rollout status deployment/onboarding-api --namespace "$services_namespace" --timeout "${wait_seconds}s" ||
  fail "$problem, and the pods of the previous version are not ready. See:
  kubectl get pods --namespace $services_namespace"
fail "$problem. The previous version runs again: $(kube get deployment onboarding-api --namespace "$services_namespace" --output 'jsonpath={.spec.template.spec.containers[0].image}')"
