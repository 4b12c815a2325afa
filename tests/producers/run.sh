#!/usr/bin/env bash
# Sends messages with other languages' AWS SDKs and OpenTelemetry instrumentations to the onboarding
# function under `baton up`, and checks that each message's span has the parent or the link that
# docs/other-producers.md names. The last line is "N passed, N failed".
#
#   tests/producers/run.sh          boto3 and Node
#   tests/producers/run.sh java go  the named producers: boto3, node, java or go
#
# Needs the binaries of `cargo build --workspace --bins`, python3, and the tools of the languages:
# npm, mvn, go. Packages are installed into a temporary folder, which is removed at the end.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binaries=$here/../../target/debug
python=${PYTHON:-python3}
# Exit code that `.ci/run` reports as skipped.
skipped=77
# Time limit for one installation in seconds, so that an unresponsive registry cannot block the run.
install_limit=180

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

declare -A tools=([boto3]=$python [node]=npm [java]=mvn [go]=go)
languages=("$@")
[ $# -gt 0 ] || languages=(boto3 node)

install_venv() {
  "$python" -m venv "$work/$1" &&
    timeout "$install_limit" "$work/$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/boto3/$2"
}

# The old boto3sqs needs a separate environment, because both versions have the same package name.
install_boto3() {
  install_venv boto3 requirements.txt && install_venv boto3-old requirements-old.txt
}

install_node() {
  cp -r "$here/node" "$work/node" &&
    (cd "$work/node" && timeout "$install_limit" npm install --silent --no-audit --no-fund --no-package-lock)
}

install_java() {
  cp -r "$here/java" "$work/java" &&
    (cd "$work/java" && timeout "$install_limit" mvn --batch-mode --quiet dependency:copy-dependencies)
}

install_go() {
  cp -r "$here/go" "$work/go" && (cd "$work/go" && timeout "$install_limit" go mod tidy)
}

for binary in baton onboarding-lambda onboarding-api; do
  if [ ! -x "$binaries/$binary" ]; then
    echo "run.sh: $binaries/$binary does not exist; build it with 'cargo build --workspace --bins'" >&2
    exit 2
  fi
done
for language in "${languages[@]}"; do
  if [ -z "${tools[$language]:-}" ]; then
    echo "run.sh: unknown producer $language, expected boto3, node, java or go" >&2
    exit 2
  fi
  if ! command -v "${tools[$language]}" >/dev/null; then
    echo "$language needs ${tools[$language]}, which is not installed"
    exit "$skipped"
  fi
  if ! "install_$language" >"$work/install.log" 2>&1; then
    cat "$work/install.log"
    echo "the packages of $language cannot be installed"
    exit "$skipped"
  fi
  # Not part of the installation: code that does not compile is a failure and not a skip.
  if [ "$language" = go ]; then
    (cd "$work/go" && go build -o producer .)
  fi
done

PYTHONDONTWRITEBYTECODE=1 "$python" "$here/check.py" "$binaries" "$work" "${languages[@]}"
