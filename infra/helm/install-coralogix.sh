#!/usr/bin/env bash
# Installs or upgrades Coralogix' chart `otel-integration`: a collector on each node, and one for the
# cluster. Exits with 0 if the release is deployed, 1 if it is not, and 2 for a usage error or a
# missing tool.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=chart.sh
. "$here/chart.sh"
values=$here/otel-integration-values.yaml
# Values of the file that others must replace.
example_domain=eu2.coralogix.com
example_cluster=example-cluster

usage() {
  cat <<END
usage: infra/helm/install-coralogix.sh --domain DOMAIN --cluster NAME [OPTION...] [-- HELM_OPTION...]

  --domain DOMAIN     domain of the Coralogix account, such as $example_domain, without
                      "ingress." (https://coralogix.com/docs/coralogix-endpoints)
  --cluster NAME      name of the cluster, the attribute k8s.cluster.name
  --environment NAME  the attribute deployment.environment.name of telemetry that has
                      none; "production" by default
  --values FILE       values that replace those of otel-integration-values.yaml; repeatable.
                      With global.domain and global.clusterName in a file, --domain and
                      --cluster can be omitted
  --timeout DURATION  time limit of the installation; 5m by default
  --dry-run           print the calls without making them

Installs the release "$RELEASE" of chart $CHART $CHART_VERSION into the namespace
"$NAMESPACE" of the current context of kubectl. The namespace must contain the secret
"$SECRET" with the key "$SECRET_KEY". Needs Helm 3 or 4, and kubectl.
END
}

fail() {
  echo "$1" >&2
  exit "${2:-1}"
}

domain='' cluster='' environment='' timeout=5m dry_run=''
files=() rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --dry-run) dry_run=yes ;;
    --)
      shift
      rest=("$@")
      break
      ;;
    --domain | --cluster | --environment | --values | --timeout)
      [ $# -ge 2 ] && [ -n "$2" ] || fail "$1: expected a value" 2
      case $1 in
        --domain) domain=$2 ;;
        --cluster) cluster=$2 ;;
        --environment) environment=$2 ;;
        --values)
          [ -f "$2" ] || fail "--values: $2 is not a file" 2
          # The script changes the folder before it calls Helm.
          files+=("$(cd "$(dirname "$2")" && pwd)/$(basename "$2")")
          ;;
        --timeout) timeout=$2 ;;
      esac
      shift
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done

# global NAME FILE: prints a value of the section `global` of a values file.
global() {
  awk -v name="$1:" '
    /^[^ #]/ { inside = $1 == "global:" }
    inside && $1 == name { gsub(/["'\'']/, "", $2); value = $2 }
    END { print value }
  ' "$2"
}

for file in ${files[@]+"${files[@]}"}; do
  found=$(global domain "$file")
  given_domain=${found:-${given_domain:-}}
  found=$(global clusterName "$file")
  given_cluster=${found:-${given_cluster:-}}
done
domain_to_use=${domain:-${given_domain:-}}
cluster_to_use=${cluster:-${given_cluster:-}}

[ -n "$domain_to_use" ] || fail "no domain: $(basename "$values") has only an example. Pass the domain of your account, such as --domain $example_domain" 2
[ -n "$cluster_to_use" ] || fail "no cluster name: $(basename "$values") has only an example. Pass --cluster NAME" 2
case $domain_to_use in
  *ingress.*)
    fail "domain '$domain_to_use': remove 'ingress.'. The chart adds it itself, and the collectors would send to ingress.$domain_to_use, which does not exist. Use ${domain_to_use##*ingress.}" 2
    ;;
  *://* | *:* | */*) fail "domain '$domain_to_use': expected a domain without a scheme, port or path, such as $example_domain" 2 ;;
  *.*) ;;
  *) fail "domain '$domain_to_use': expected a domain such as $example_domain" 2 ;;
esac
[ "$cluster_to_use" != "$example_cluster" ] || fail "cluster name '$example_cluster' is an example. Pass the name of your cluster with --cluster" 2

call() {
  if [ -n "$dry_run" ]; then
    local word line=
    for word in "$@"; do
      if ! [[ $word =~ ^[A-Za-z0-9_./:=,-]+$ ]]; then word=${word@Q}; fi
      line+="${line:+ }$word"
    done
    echo "$line"
    return
  fi
  "$@"
}

if [ -z "$dry_run" ]; then
  for tool in helm kubectl; do
    command -v "$tool" >/dev/null || fail "$tool is not installed" 2
  done
  version=$(helm version --template '{{.Version}}') || fail "helm version failed"
else
  version=v4
fi
# Version 4 of Helm has renamed the option.
case $version in
  v2.* | v1.*) fail "helm $version: expected version 3 or 4" 2 ;;
  v3.*) rollback=--atomic ;;
  *) rollback=--rollback-on-failure ;;
esac

# ---- namespace and secret ------------------------------------------------------------------------

security=pod-security.kubernetes.io/enforce
get_namespace=(kubectl get namespace "$NAMESPACE" --output "jsonpath={.metadata.labels.${security//./\\.}}")
if [ -n "$dry_run" ]; then
  call "${get_namespace[@]}"
elif level=$("${get_namespace[@]}" 2>&1); then
  # The agent uses the network and folders of its node, and runs as root.
  case $level in
    baseline | restricted)
      fail "the label $security=$level of the namespace $NAMESPACE forbids the agent's pods, which would never start. Change it:
  kubectl label namespace $NAMESPACE $security=privileged --overwrite"
      ;;
  esac
else
  case $level in
    *NotFound* | *"not found"*)
      kubectl create namespace "$NAMESPACE"
      kubectl label namespace "$NAMESPACE" "name=$NAMESPACE"
      ;;
    *) fail "the namespace $NAMESPACE cannot be read: $level" ;;
  esac
fi

create_secret="kubectl create secret generic $SECRET --namespace $NAMESPACE --from-literal=$SECRET_KEY=\"\$CORALOGIX_SEND_YOUR_DATA_KEY\""
if [ -n "$dry_run" ]; then
  call kubectl get secret "$SECRET" --namespace "$NAMESPACE" --output "jsonpath={.data.$SECRET_KEY}"
elif ! key=$(kubectl get secret "$SECRET" --namespace "$NAMESPACE" --output "jsonpath={.data.$SECRET_KEY}" 2>&1); then
  case $key in
    *NotFound* | *"not found"*)
      fail "the namespace $NAMESPACE has no secret $SECRET. Create it with a Send-Your-Data API key:
  $create_secret"
      ;;
    *) fail "the secret $SECRET cannot be read: $key" ;;
  esac
elif [ -z "$key" ]; then
  fail "the secret $SECRET has no key $SECRET_KEY, or it is empty. Delete the secret, and create it again:
  kubectl delete secret $SECRET --namespace $NAMESPACE
  $create_secret"
fi

# ---- the release ---------------------------------------------------------------------------------

options=(--namespace "$NAMESPACE" --repo "$CHART_REPOSITORY" --version "$CHART_VERSION" "$rollback" --wait --timeout "$timeout" --values "$values")
for file in ${files[@]+"${files[@]}"}; do options+=(--values "$file"); done
if [ -n "$domain" ]; then options+=(--set-string "global.domain=$domain"); fi
if [ -n "$cluster" ]; then options+=(--set-string "global.clusterName=$cluster"); fi
if [ -n "$environment" ]; then options+=(--set-string "global.deploymentEnvironmentName=$environment"); fi

# Helm ignores the repository if the current folder has an entry with the chart's name.
cd "$here"
if ! call helm upgrade --install "$RELEASE" "$CHART" "${options[@]}" ${rest[@]+"${rest[@]}"}; then
  fail "the release $RELEASE is not deployed. For the cause, run:
  kubectl get events --namespace $NAMESPACE --sort-by=.lastTimestamp"
fi
for pods in daemonset/coralogix-opentelemetry-agent deployment/coralogix-opentelemetry-collector; do
  call kubectl rollout status "$pods" --namespace "$NAMESPACE" "--timeout=$timeout" || fail "$pods is not ready. Its log may have the cause:
  kubectl logs $pods --namespace $NAMESPACE --tail=50"
done
if [ -n "$dry_run" ]; then
  echo "dry run: nothing was called"
  exit
fi
cat <<END
installed $CHART $CHART_VERSION. Next:
  kubectl logs daemonset/coralogix-opentelemetry-agent --namespace $NAMESPACE --tail=50
      should contain "Everything is ready", and no line with Exporting failed
  infra/kubernetes/install.sh coralogix
      installs the onboarding API, whose pods send to the agent of their node
  infra/helm/README.md
      lists what to look for in Coralogix
END
