#!/usr/bin/env bash
# Checks that an installed overlay works: sends a request, and looks for its trace, log lines and span
# metrics. Exits with 0 if all checks passed, 1 if a check failed, and 2 for a usage error or a missing
# tool.
set -euo pipefail

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<END
usage: infra/kubernetes/validate.sh OVERLAY [--context NAME] [--dry-run]

  OVERLAY         $(list_overlays), or a folder with a kustomization.yaml
  --context NAME  context of kubectl; the current one by default
  --dry-run       build the overlay, and print the calls without making them

environment:
  API_URL         URL of the API; by default, a forwarded port of one of its pods
  TEMPO_URL       URL of Tempo; by default, a forwarded port of the overlay's Tempo
  LOKI_URL        URL of Loki, such as http://127.0.0.1:3100 for a port that you forward; if
                  unset, the log lines are not checked
  PROMETHEUS_URL  URL of Prometheus; if unset, the span metrics are not checked
  FUNCTION        "yes" if the function sends its spans to the same Tempo; by default only in
                  the overlay local
  WAIT_SECONDS    time limit of each check; 300 by default
END
}

parse_arguments 1 "$@"
need_tools kubectl curl
select_overlay "${arguments[0]}"
check_cluster

has_local_function=
if grep -q -- '--function=' "$manifests"; then has_local_function=yes; fi
with_function=${FUNCTION:-${has_local_function:-no}}

# ---- pods and Services --------------------------------------------------------------------------

# value KIND NAME NAMESPACE PATH: prints a value of an object, or nothing.
value() { kube get "$1" "$2" --namespace "$3" --output "jsonpath={$4}" 2>/dev/null || true; }

while read -r kind namespace name; do
  case $kind in
    DaemonSet) ready=.status.numberReady wanted=.status.desiredNumberScheduled ;;
    *) ready=.status.readyReplicas wanted=.spec.replicas ;;
  esac
  found=$(value "${kind,,}" "$name" "$namespace" "$ready")
  expected=$(value "${kind,,}" "$name" "$namespace" "$wanted")
  if [ -n "$dry_run" ]; then
    check "all pods of $kind $name are ready"
  elif [ -z "$expected" ]; then
    check "all pods of $kind $name are ready" no "it does not exist. Run infra/kubernetes/install.sh $overlay_name"
  elif [ "${found:-0}" = "$expected" ]; then
    check "all pods of $kind $name are ready" yes "$expected"
  else
    check "all pods of $kind $name are ready" no "${found:-0} of $expected"
    explain "$kind" "$namespace" "$name"
  fi
done < <(objects Deployment StatefulSet DaemonSet)

while read -r _ namespace name; do
  if [ "$(value service "$name" "$namespace" .spec.type)" = ExternalName ] || [ "$name" = load-server ]; then continue; fi
  addresses=$(kube get endpointslices --namespace "$namespace" --selector "kubernetes.io/service-name=$name" --output 'jsonpath={.items[*].endpoints[*].addresses[*]}' 2>/dev/null || true)
  if [ -n "$addresses" ]; then
    check "Service $name has endpoints" yes
  else
    check "Service $name has endpoints" no "no pod that it selects is ready: kubectl describe service $name --namespace $namespace"
  fi
done < <(objects Service)
if [ "$failures" != 0 ]; then conclude; fi

# ---- a request ----------------------------------------------------------------------------------

# One pod, so that the node of its agent is known.
pod=$(kube get pods --namespace "$services_namespace" --selector app.kubernetes.io/name=onboarding-api --output 'jsonpath={.items[0].metadata.name}')
node=$(value pod "${pod:-POD}" "$services_namespace" .spec.nodeName)
api_url=${API_URL:-}
if [ -z "$api_url" ]; then
  if ! forward "$services_namespace" "pod/${pod:-POD}" 8080; then
    check "the API can be reached through kubectl port-forward" no "$forwarded"
    conclude
  fi
  api_url=$forwarded
fi
api_url=${api_url%/}

metrics_url=
if has_object DaemonSet collector-agent; then
  agent=$(kube get pods --namespace "$telemetry_namespace" --selector app.kubernetes.io/name=collector-agent --field-selector "spec.nodeName=${node:-NODE}" --output 'jsonpath={.items[0].metadata.name}')
  if [ -z "$agent" ] && [ -z "$dry_run" ]; then
    check "an agent runs on the node of pod $pod" no "node $node: kubectl describe daemonset collector-agent --namespace $telemetry_namespace"
  elif forward "$telemetry_namespace" "pod/${agent:-AGENT}" 8888; then
    metrics_url=$forwarded/metrics
  else
    check "the metrics of pod $agent can be read" no "$forwarded"
  fi
else
  not_checked "the metrics of the collector, which is not part of the overlay"
fi

# accepted_spans: prints the number of spans that the agent has received.
accepted_spans() {
  http_call "$metrics_url" 2>/dev/null | awk '/^otelcol_receiver_accepted_spans_total[{ ]/ { sum += $NF } END { printf "%d\n", sum }'
}

before=0
if [ -n "$metrics_url" ]; then before=$(accepted_spans) || before=0; fi

for route in /healthz /readyz; do
  if [ -n "${API_URL:-}" ] && [ "$route" = /healthz ]; then continue; fi
  if response=$(http_call "$api_url$route" 2>&1); then
    check "GET $route" yes
  else
    check "GET $route" no "$response. The log of the API names the cause: kubectl logs $pod --namespace $services_namespace"
  fi
done

customer=validate-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
trace_id='{trace_id}'
if response=$(http_call --header 'content-type: application/json' --data "{\"customer_id\":\"$customer\"}" "$api_url/telemetry/smoke" 2>&1); then
  if [ -z "$dry_run" ]; then trace_id=$(sed -n 's/.*"trace_id":"\([0-9a-f]*\)".*/\1/p' <<<"$response"); fi
  check "POST /telemetry/smoke" yes "customer $customer, trace $trace_id"
else
  check "POST /telemetry/smoke" no "$response. The log of the API names the cause: kubectl logs $pod --namespace $services_namespace"
  conclude
fi

# ---- its telemetry ------------------------------------------------------------------------------

has_grown() { [ "$(accepted_spans)" -gt "$before" ] 2>/dev/null; }

if [ -n "$metrics_url" ]; then
  if wait_for has_grown; then
    check "the collector has received spans" yes
  else
    check "the collector has received spans" no "otelcol_receiver_accepted_spans_total is still $before. Check OTEL_EXPORTER_OTLP_ENDPOINT, and the policy collector-agent"
  fi
fi

tempo_url=${TEMPO_URL:-}
if [ -z "$tempo_url" ] && has_object StatefulSet tempo; then
  if forward "$telemetry_namespace" service/tempo 3200; then tempo_url=$forwarded; else check "Tempo can be reached through kubectl port-forward" no "$forwarded"; fi
fi
tempo_url=${tempo_url%/}
spans=("POST /telemetry/smoke" "send onboarding")
if [ "$with_function" = yes ]; then spans+=("process onboarding" "put onboardings"); fi
trace=

# Sets `missing` to the spans that the trace lacks.
is_complete() {
  local name
  trace=$(http_call --header 'accept: application/json' "$tempo_url/api/traces/$trace_id" 2>/dev/null) || trace=
  missing=
  for name in "${spans[@]}"; do
    if ! [[ $trace =~ \"name\":\ ?"\"$name\"" ]]; then missing+="${missing:+, }$name"; fi
  done
  [ -z "$missing" ]
}

if [ -z "$tempo_url" ]; then
  not_checked "the trace, because TEMPO_URL is not set"
elif wait_for is_complete; then
  check "the trace is in Tempo, with all spans" yes
  for attribute in k8s.pod.name k8s.namespace.name k8s.deployment.name k8s.node.name k8s.container.name k8s.cluster.name; do
    if [[ $trace =~ \"key\":\ ?"\"$attribute\"" ]]; then
      check "spans have the attribute $attribute" yes
    else
      check "spans have the attribute $attribute" no "the variables in the Deployment onboarding-api set it"
    fi
  done
elif [ -z "$trace" ]; then
  check "the trace is in Tempo, with all spans" no "no span of trace $trace_id after $wait_seconds s. Check the logs of the collectors for 'Exporting failed'"
else
  check "the trace is in Tempo, with all spans" no "missing after $wait_seconds s: $missing"
fi
if [ -n "$tempo_url" ] && [ "$with_function" != yes ]; then not_checked "the spans of the function, because FUNCTION is not yes"; fi

has_log_lines() {
  local lines
  lines=$(http_call --get "${LOKI_URL%/}/loki/api/v1/query_range" --data-urlencode "query={service_name=\"onboarding-api\"} | trace_id=\"$trace_id\"" 2>/dev/null) || return 1
  [[ $lines =~ \"values\":\ ?\[\[ ]]
}

if [ -z "${LOKI_URL:-}" ]; then
  not_checked "the log lines, because LOKI_URL is not set"
elif wait_for has_log_lines; then
  check "the log lines of the trace are in Loki" yes
else
  check "the log lines of the trace are in Loki" no "none after $wait_seconds s. Check OTEL_LOGS_EXPORTER, and the logs of the collectors"
fi

counts_request() {
  local series
  series=$(http_call --get "${PROMETHEUS_URL%/}/api/v1/query" --data-urlencode 'query=traces_span_metrics_calls_total{service_name="onboarding-api",span_name="POST /telemetry/smoke"}' 2>/dev/null) || return 1
  [[ $series =~ \"value\":\ ?\[ ]]
}

if [ -z "${PROMETHEUS_URL:-}" ]; then
  not_checked "the span metrics, because PROMETHEUS_URL is not set"
elif wait_for counts_request; then
  check "the span metrics count the request" yes
else
  check "the span metrics count the request" no "no traces_span_metrics_calls_total after $wait_seconds s. Check that Prometheus has --web.enable-otlp-receiver"
fi

conclude
