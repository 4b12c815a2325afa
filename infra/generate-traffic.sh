#!/usr/bin/env bash
# Sends onboardings to the onboarding API at regular intervals with curl, so that there is something
# to look at where Baton is not installed. Exits with 0 if all were accepted, 1 if one was not, 2 for
# a usage error or a missing tool, and 130 if it was interrupted.
set -euo pipefail

usage() {
  cat <<'END'
usage: infra/generate-traffic.sh URL SECONDS INTERVAL

  URL       where to send POST requests, such as http://127.0.0.1:8080/onboarding
  SECONDS   time in which requests are sent, a positive integer
  INTERVAL  seconds from one request to the next, such as 2 or 0.5

Each request has a customer of its own, and a time limit of 10 seconds. A response that takes
longer than INTERVAL delays the next request. `baton load` sends higher rates, and measures.
END
}

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  usage
  exit 0
fi
if [ $# != 3 ]; then
  usage >&2
  exit 2
fi

# invalid NAME EXPECTED FOUND: reports an invalid argument.
invalid() {
  echo "$1: expected $2, found '$3'" >&2
  exit 2
}

url=$1
seconds=$2
interval=$3
[[ $url =~ ^https?://[^/]+ ]] || invalid URL "http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH" "$url"
[[ $seconds =~ ^[1-9][0-9]{0,5}$ ]] || invalid SECONDS "an integer from 1 to 999999" "$seconds"
{ [[ $interval =~ ^[0-9]{1,6}(\.[0-9]{1,3})?$ ]] && [[ $interval =~ [1-9] ]]; } ||
  invalid INTERVAL "a number above 0 with at most three decimals" "$interval"
command -v curl >/dev/null || { echo "curl is not installed" >&2; exit 2; }

# Both times in milliseconds, because the shell has only integers.
fraction=000
if [[ $interval == *.* ]]; then fraction=${interval#*.}00; fi
milliseconds=$((10#${interval%.*} * 1000 + 10#${fraction:0:3}))
planned=$(((seconds * 1000 + milliseconds - 1) / milliseconds))

statuses=
# Prints the number of requests with each status, and exits.
finish() {
  local code=$1 sent
  # A request that was interrupted has no status.
  if [ -z "$statuses" ]; then
    echo "no response yet"
    exit "$code"
  fi
  sent=$(printf '%s' "$statuses" | wc -l)
  echo "$((sent)) of $planned requests"
  printf '%s' "$statuses" | sort | uniq -c | while read -r count status; do
    if [ "$status" = 000 ]; then status="no response"; fi
    printf '  %-12s %s\n' "$status" "$count"
  done
  exit "$code"
}
trap 'finish 130' INT TERM

run=$(date +%s)-$$
code=0
for ((number = 1; number <= planned; number++)); do
  pause=
  if [ "$number" -lt "$planned" ]; then
    # In parallel with the request, whose duration must not add to the interval.
    sleep "$interval" &
    pause=$!
  fi
  body="{\"customer_id\": \"traffic-$run-$number\", \"email\": \"traffic@example.com\", \"plan\": \"team\"}"
  # curl prints status 000 if there is no response.
  status=$(curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' \
    --header 'content-type: application/json' --data "$body" "$url") || true
  statuses+="${status:-000}"$'\n'
  if [[ $status != 2?? ]]; then code=1; fi
  if [ -n "$pause" ]; then wait "$pause"; fi
done
finish "$code"
