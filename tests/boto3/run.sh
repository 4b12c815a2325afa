#!/bin/sh
# Checks an SQS endpoint with boto3. The last line is "N passed, N failed".
#
#   tests/boto3/run.sh                        starts and checks `target/debug/baton up --sqs-only`
#   tests/boto3/run.sh http://127.0.0.1:9324  checks a running endpoint, like SQS_ENDPOINT
#
# BATON names another `baton` binary, PYTHON another interpreter. boto3 is installed into a
# temporary folder, which is removed at the end.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
baton_pid=

# Stops the endpoint only if this script started it, and waits for its exit.
clean_up() {
    if [ -n "$baton_pid" ]; then
        kill "$baton_pid" 2>/dev/null || true
        wait "$baton_pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check boto3 awscli

endpoint=${1:-${SQS_ENDPOINT:-}}
if [ -z "$endpoint" ]; then
    baton=${BATON:-$here/../../target/debug/baton}
    if [ ! -x "$baton" ]; then
        echo "run.sh: $baton does not exist; build it with 'cargo build -p baton-local' or name an endpoint" >&2
        exit 2
    fi
    mkfifo "$work/up"
    "$baton" up --sqs-only --json >"$work/up" 2>"$work/up.log" &
    baton_pid=$!
    # The pipe stays open until the end, so that baton can always write. If baton exits, the pipe is
    # closed and the reader stops waiting.
    exec 3<"$work/up"
    endpoint=$("$work/venv/bin/python" "$here/endpoint.py" <&3) || {
        cat "$work/up.log" >&2
        exit 2
    }
fi

# Version 1 of the AWS CLI, which `pip` installs, ignores AWS_ENDPOINT_URL_SQS. These are the
# options that `baton up` prints.
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
queue=$("$work/venv/bin/aws" sqs create-queue --endpoint-url "$endpoint" --queue-name cli-v1 --query QueueUrl --output text)
"$work/venv/bin/aws" sqs send-message --endpoint-url "$endpoint" --queue-url "$queue" --message-body '{"id":"1"}'
"$work/venv/bin/aws" sqs delete-queue --endpoint-url "$endpoint" --queue-url "$queue"
echo "ok    the AWS CLI $("$work/venv/bin/aws" --version 2>&1 | cut -d' ' -f1) sends a message"

"$work/venv/bin/python" "$here/probe.py" "$endpoint"
