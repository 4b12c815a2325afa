#!/usr/bin/env bash
# Checks that a deployed pipeline works: sends a message through it, and looks for its effects.
# Exits with 0 if all checks passed, 1 if a check failed, and 2 for a usage error or a missing tool.
set -euo pipefail

usage() {
  cat <<'END'
usage: infra/validate.sh aws STACK [--dry-run]

  STACK      name of the CloudFormation stack that was deployed from template.yaml
  --dry-run  print the calls without making them, as for a stack with a producer

environment:
  AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...  as for the AWS CLI, which must be installed
  API_URL       URL of the onboarding API, if it is not the output ProducerUrl
  TRACE_URL     URL of a trace in a backend, with {trace_id} in it, such as
                http://tempo:3200/api/traces/{trace_id}; if unset, the script does not look
                for the trace
  TRACE_HEADER  header of the request to TRACE_URL, such as "Authorization: Bearer KEY"
  WAIT_SECONDS  time limit of each check that waits for the message; 60 by default
END
}

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  usage
  exit 0
fi
if [ "${1:-}" != aws ] || [ $# -lt 2 ] || [ $# -gt 3 ] || [[ $2 == -* ]] || { [ $# = 3 ] && [ "$3" != --dry-run ]; }; then
  usage >&2
  exit 2
fi
stack=$2
dry_run=${3:+yes}
wait_seconds=${WAIT_SECONDS:-60}
if ! [[ $wait_seconds =~ ^[1-9][0-9]*$ ]]; then
  echo "WAIT_SECONDS: expected a positive integer, found '$wait_seconds'" >&2
  exit 2
fi
if [ -n "${TRACE_URL:-}" ] && [[ $TRACE_URL != *'{trace_id}'* ]]; then
  echo "TRACE_URL: expected a URL with {trace_id} in it, found '$TRACE_URL'" >&2
  exit 2
fi

failures=0
# Output of each call in a dry run.
unknown='?'

# check TITLE OK DETAIL: prints a line, and counts a failure if OK is not "yes".
check() {
  if [ -n "$dry_run" ]; then
    printf 'check   %s\n' "$1"
  elif [ "$2" = yes ]; then
    printf 'ok      %s%s\n' "$1" "${3:+: $3}"
  else
    printf 'FAILED  %s%s\n' "$1" "${3:+: $3}"
    failures=$((failures + 1))
  fi
}

# A dry run prints its calls here, because the script reads the standard output of a call.
exec 3>&1

# call COMMAND...: runs a command. A dry run prints it instead, quoted for a shell.
call() {
  if [ -n "$dry_run" ]; then
    printf '       ' >&3
    local word
    for word in "$@"; do
      if ! [[ $word =~ ^[A-Za-z0-9_./:=-]+$ ]]; then word=${word@Q}; fi
      printf ' %s' "$word" >&3
    done
    printf '\n' >&3
    echo "$unknown"
    return
  fi
  "$@"
}

aws_call() {
  # Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS.
  call aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} --output text "$@"
}

http_call() { call curl --silent --show-error --fail --max-time 10 "$@"; }

# Prints the value of an output of the stack, or nothing.
output() {
  if [ -n "$dry_run" ]; then
    echo "\${$1}"
    return
  fi
  sed -n "s/^$1	//p" <<<"$outputs"
}

# wait_for COMMAND...: repeats a command until it succeeds or the time limit has passed.
wait_for() {
  local until=$((SECONDS + wait_seconds))
  until "$@"; do
    if [ -n "$dry_run" ]; then return; fi
    if [ "$SECONDS" -ge "$until" ]; then return 1; fi
    sleep 1
  done
}

# ---- the stack ------------------------------------------------------------------------------------

if [ -z "$dry_run" ]; then
  for tool in aws curl; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 2; }
  done
fi

if ! status=$(aws_call cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' 2>&1) ||
  ! outputs=$(aws_call cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' 2>&1); then
  check "stack $stack is deployed" no "${outputs:-$status}"
  exit 1
fi
case $status in
  CREATE_COMPLETE | UPDATE_COMPLETE | "$unknown") check "stack $stack is deployed" yes "$status" ;;
  UPDATE_ROLLBACK_COMPLETE) check "stack $stack is deployed" no "$status: the latest update failed" ;;
  *)
    check "stack $stack is deployed" no "$status"
    exit 1
    ;;
esac
queue_url=$(output QueueUrl)
dead_letter_queue_url=$(output DeadLetterQueueUrl)
table=$(output TableName)
api_url=${API_URL:-$(output ProducerUrl)}
api_url=${api_url%/}

messages_in() {
  aws_call sqs get-queue-attributes --queue-url "$1" --attribute-names ApproximateNumberOfMessages \
    --query Attributes.ApproximateNumberOfMessages
}

check_dead_letter_queue() {
  local messages
  messages=$(messages_in "$dead_letter_queue_url") || messages='cannot be read'
  case $messages in
    0 | "$unknown") check "the dead-letter queue is empty" yes ;;
    *) check "the dead-letter queue is empty" no "messages: $messages" ;;
  esac
}

check_dead_letter_queue

settings='CodeSha256, MemorySize, Timeout, LoggingConfig.ApplicationLogLevel'
variables='sort(keys(Environment.Variables)), sort(values(Environment.Variables))'

# Prints the configuration of the function, or of a version. A version keeps its configuration: a
# change reaches the queue's invocations only with a new version.
configuration() {
  aws_call lambda get-function-configuration --function-name "$(output FunctionName)" "$@" --query "[$settings, $variables]" 2>&1
}

if ! invoked=$(configuration --qualifier "$(output FunctionAlias)"); then
  check "the queue invokes the deployed version of the function" no "$invoked"
elif [ "$invoked" = "$(configuration)" ]; then
  check "the queue invokes the deployed version of the function" yes
else
  check "the queue invokes the deployed version of the function" no "the alias points to an older version: deploy again with a new ApplicationVersion"
fi

# ---- a message ------------------------------------------------------------------------------------

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

customer=validate-$(random_hex 8)
trace_id=${dry_run:+'{trace_id}'}
if [ -n "$api_url" ]; then
  for route in /healthz /readyz; do
    if response=$(http_call "$api_url$route" 2>&1); then check "GET $route" yes; else check "GET $route" no "$response"; fi
  done
  if response=$(http_call --header 'content-type: application/json' --data "{\"customer_id\":\"$customer\"}" "$api_url/telemetry/smoke" 2>&1); then
    if [ -z "$dry_run" ]; then trace_id=$(sed -n 's/.*"trace_id":"\([0-9a-f]*\)".*/\1/p' <<<"$response"); fi
    check "POST /telemetry/smoke" yes "customer $customer, trace ${trace_id:-unknown}"
  else
    check "POST /telemetry/smoke" no "$response"
  fi
else
  trace_id=$(random_hex 16)
  traceparent=00-$trace_id-$(random_hex 8)-01
  body="{\"customer_id\":\"$customer\",\"email\":\"smoke@example.com\",\"plan\":\"starter\"}"
  if response=$(aws_call sqs send-message --queue-url "$queue_url" --message-body "$body" \
    --message-attributes "{\"traceparent\":{\"DataType\":\"String\",\"StringValue\":\"$traceparent\"}}" --query MessageId 2>&1); then
    check "message sent to the queue" yes "customer $customer, trace $trace_id"
  else
    check "message sent to the queue" no "$response"
  fi
fi

key="{\"pk\":{\"S\":\"customer#$customer\"}}"

is_stored() {
  local found
  found=$(aws_call dynamodb get-item --table-name "$table" --key "$key" --consistent-read --query Item.customer_id.S 2>&1) || return 1
  [ "$found" = "$customer" ]
}

if wait_for is_stored; then
  check "customer $customer is in the table" yes
  aws_call dynamodb delete-item --table-name "$table" --key "$key" >/dev/null ||
    echo "-       customer $customer is left in the table"
else
  check "customer $customer is in the table" no "not within $wait_seconds s"
fi
check_dead_letter_queue

# ---- alarms and the trace -------------------------------------------------------------------------

raised_alarms() {
  local names
  names=$(aws_call cloudformation describe-stack-resources --stack-name "$stack" \
    --query "StackResources[?ResourceType=='AWS::CloudWatch::Alarm'].PhysicalResourceId" 2>&1) || {
    echo "$names"
    return 1
  }
  # shellcheck disable=SC2086 # One word for each alarm.
  aws_call cloudwatch describe-alarms --alarm-names $names --state-value ALARM --query 'MetricAlarms[].AlarmName' 2>&1
}

if raised=$(raised_alarms); then
  case $raised in
    "" | None | "$unknown") check "no alarm is raised" yes ;;
    *) check "no alarm is raised" no "$(tr '\t' ' ' <<<"$raised")" ;;
  esac
else
  check "no alarm is raised" no "$raised"
fi

# A trace is complete if it contains the span of the consumer.
is_traced() {
  local trace header=${TRACE_HEADER:-}
  # A dry run does not print the key.
  if [ -n "$dry_run" ] && [ -n "$header" ]; then header="\$TRACE_HEADER"; fi
  trace=$(http_call ${header:+--header "$header"} "${TRACE_URL//\{trace_id\}/$trace_id}" 2>/dev/null) || return 1
  [[ $trace == *'process '* ]]
}

if [ -z "${TRACE_URL:-}" ]; then
  echo "-       trace not checked: TRACE_URL is not set"
elif [ -z "$trace_id" ]; then
  check "the trace is in the backend" no "the API did not respond with a trace id"
elif wait_for is_traced; then
  check "the trace is in the backend, with the span of the consumer" yes
else
  check "the trace is in the backend, with the span of the consumer" no "not within $wait_seconds s"
fi

if [ -n "$dry_run" ]; then
  echo "dry run: nothing was called"
elif [ "$failures" = 0 ]; then
  echo "all checks passed"
else
  echo "failed checks: $failures"
  exit 1
fi
