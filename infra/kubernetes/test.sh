#!/usr/bin/env bash
# Tests an installed overlay under load: restarts the collectors and the API while requests arrive,
# and counts what arrives. Exits with 0 if all checks passed, 1 if a check failed, and 2 for a usage
# error or a missing tool.
set -euo pipefail

# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<END
usage: infra/kubernetes/test.sh OVERLAY [--context NAME] [--dry-run]

  OVERLAY         $(list_overlays), or a folder with a kustomization.yaml
  --context NAME  context of kubectl; the current one by default
  --dry-run       build the overlay, and print the calls without making them

environment:
  those of validate.sh, and
  LOAD_PROFILE    profile of the load; blackfriday by default, which includes invalid requests
  LOAD_RATE       requests per second; 20 by default
  LOAD_DURATION   duration of the load; 2m by default
  QUEUE_URL, DEAD_LETTER_QUEUE_URL
                  queues on AWS that the aws command can read, to check that every message was
                  consumed; if unset, only the queues of the overlay local are checked

Not for a production cluster: the load's onboardings are real messages. With PROMETHEUS_URL, the
script compares the span metrics with the number of requests.
END
}

parse_arguments 1 "$@"
need_tools kubectl curl
select_overlay "${arguments[0]}"
has_object CronJob load || fail "the overlay has no CronJob load: add the component load" 2
profile=${LOAD_PROFILE:-blackfriday} rate=${LOAD_RATE:-20} duration=${LOAD_DURATION:-2m}
job=load-test-$(date +%s)

if ! "$here/validate.sh" "${arguments[0]}" ${context:+--context "$context"} ${dry_run:+--dry-run}; then
  fail "The overlay does not work without load. Correct the cause first."
fi

# ---- load ---------------------------------------------------------------------------------------

# Sum of the requests in the span metrics. Restarts of the API do not reset it.
counted_requests() {
  local response
  response=$(http_call --get "${PROMETHEUS_URL%/}/api/v1/query" --data-urlencode 'query=sum(traces_span_metrics_calls_total{service_name="onboarding-api",span_name="POST /onboarding"})' 2>/dev/null) || return 1
  sed -n 's/.*"value":\[[^,]*,"\([0-9.e+]*\)"\].*/\1/p' <<<"$response" | awk '{ printf "%d\n", $1 }'
}

# queue_lengths: prints the numbers of messages in the queue and in the dead-letter queue.
queue_lengths() {
  if [ -n "$queue_metrics" ]; then
    http_call "$queue_metrics" 2>/dev/null | awk '
      /^aws_sqs_approximate_number_of_messages_(visible|not_visible|delayed)_maximum/ {
        if (/dimension_QueueName="onboarding-dlq"/) dead += $NF
        if (/dimension_QueueName="onboarding"/) waiting += $NF
      }
      END { print waiting + 0, dead + 0 }'
  else
    printf '%s %s\n' "$(messages_in "$QUEUE_URL")" "$(messages_in "$DEAD_LETTER_QUEUE_URL")"
  fi
}

# messages_in QUEUE_URL: prints the number of messages in a queue on AWS.
messages_in() {
  call aws sqs get-queue-attributes --queue-url "$1" --output text \
    --attribute-names ApproximateNumberOfMessages ApproximateNumberOfMessagesNotVisible ApproximateNumberOfMessagesDelayed \
    --query 'Attributes.[ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed]' |
    awk '{ print $1 + $2 + $3 }'
}

queue_metrics=
if has_object Service local-stack; then
  if forward "$services_namespace" service/local-stack 9325; then queue_metrics=$forwarded/metrics; else check "the metrics of the queue can be read" no "$forwarded"; fi
elif [ -n "${QUEUE_URL:-}" ]; then
  need_tools aws
  [ -n "${DEAD_LETTER_QUEUE_URL:-}" ] || fail "DEAD_LETTER_QUEUE_URL: expected the URL of the dead-letter queue, because QUEUE_URL is set" 2
fi
dead_before=0
if [ -n "$queue_metrics${QUEUE_URL:-}" ]; then read -r _ dead_before < <(queue_lengths) || true; fi

counted_before=0
if [ -n "${PROMETHEUS_URL:-}" ]; then counted_before=$(counted_requests) || counted_before=0; fi

create_job() {
  kubectl ${context:+--context "$context"} create job "$job" --namespace "$services_namespace" --from cronjob/load --dry-run=client --output yaml |
    kubectl set env --local --filename - --output yaml "BATON_LOAD_PROFILE=$profile" "BATON_LOAD_RATE=$rate" "BATON_LOAD_DURATION=$duration" |
    kubectl ${context:+--context "$context"} apply --filename -
}

if [ -n "$dry_run" ]; then
  kube create job "$job" --namespace "$services_namespace" --from cronjob/load
elif ! errors=$(create_job 2>&1); then
  fail "the Job $job was not created: $errors"
fi

job_pod() { kube get pods --namespace "$services_namespace" --selector "batch.kubernetes.io/job-name=$job" --output 'jsonpath={.items[0].metadata.name}' 2>/dev/null; }
is_running() {
  local phase
  phase=$(kube get pod "$(job_pod)" --namespace "$services_namespace" --output 'jsonpath={.status.phase}' 2>/dev/null)
  [ "$phase" = Running ] || [ "$phase" = Succeeded ] || [ "$phase" = Failed ]
}
is_finished() {
  kube get job "$job" --namespace "$services_namespace" --output 'jsonpath={.status.conditions[*].type}' 2>/dev/null | grep -qE 'Complete|Failed'
}

if ! wait_for is_running; then
  pod=$(job_pod || true)
  fail "the load has not started. See:
  kubectl describe job $job --namespace $services_namespace
  kubectl describe pod ${pod:-POD} --namespace $services_namespace"
fi
check "load runs: $profile, $rate requests per second, $duration" yes

# restart KIND NAME NAMESPACE
restart() {
  kube rollout restart "$1/$2" --namespace "$3" >/dev/null
  if kube rollout status "$1/$2" --namespace "$3" --timeout "${wait_seconds}s" >/dev/null 2>&1; then
    check "$1 $2 is restarted under load" yes
  else
    check "$1 $2 is restarted under load" no
    explain "$1" "$3" "$2"
  fi
}

if has_object DaemonSet collector-agent; then restart daemonset collector-agent "$telemetry_namespace"; fi
if has_object StatefulSet collector-gateway; then restart statefulset collector-gateway "$telemetry_namespace"; fi
# The pod of the overlay local contains the queue, whose messages a restart would delete.
if ! grep -q -- '--function=' "$manifests"; then restart deployment onboarding-api "$services_namespace"; fi

# ---- results ------------------------------------------------------------------------------------

if ! wait_for is_finished; then fail "the Job $job has not finished after $wait_seconds s. Set WAIT_SECONDS to more than LOAD_DURATION."; fi
report=$(kube logs "job/$job" --namespace "$services_namespace" 2>&1 || true)
if [ -z "$dry_run" ]; then printf '%s\n' "$report" | sed 's/^/        /'; fi
if [[ $(kube get job "$job" --namespace "$services_namespace" --output 'jsonpath={.status.succeeded}' 2>/dev/null) == 1 ]]; then
  check "no request failed" yes
else
  check "no request failed" no "see the report above"
fi

# Sets `waiting` and `dead`, the numbers of messages.
is_consumed() {
  read -r waiting dead < <(queue_lengths) || return 1
  [ "$waiting" = 0 ]
}

if [ -z "$queue_metrics${QUEUE_URL:-}" ]; then
  not_checked "the messages, because QUEUE_URL is not set"
elif ! wait_for is_consumed; then
  check "every message was consumed" no "messages in the queue after $wait_seconds s: ${waiting:-unknown}. The log of the function names the cause"
elif [ -z "$dry_run" ] && [ "$dead" != "${dead_before:-0}" ]; then
  check "every message was consumed" no "new messages in the dead-letter queue: $((dead - ${dead_before:-0}))"
else
  check "every message was consumed" yes
fi

# accepted REPORT: prints the number of accepted requests.
accepted() { sed -n 's/^ *accepted *\([0-9,]*\).*/\1/p' <<<"$1" | head -n 1 | tr -d ,; }

has_all_spans() {
  local counted
  counted=$(counted_requests) || return 1
  [ $((counted - counted_before)) -ge "$(accepted "$report")" ]
}

if [ -z "${PROMETHEUS_URL:-}" ]; then
  not_checked "the number of spans, because PROMETHEUS_URL is not set"
elif wait_for has_all_spans; then
  check "the span metrics count every accepted request" yes "$(accepted "$report")"
else
  check "the span metrics count every accepted request" no "$(accepted "$report") requests, $(($(counted_requests) - counted_before)) spans"
fi
conclude
