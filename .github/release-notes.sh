#!/usr/bin/env bash
# Prints the section of CHANGELOG.md for a version, and checks that the version is the same everywhere.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/release-notes.sh VERSION

  VERSION  version of the release, such as 1.2.0; a leading "v", as in the tag, is ignored

Fails if the manifests or the task definition have another version, or if CHANGELOG.md has no
section for it.
END
}

case ${1:-} in
  --help | -h)
    usage
    exit 0
    ;;
esac
version=${1:-}
version=${version#v}
if ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]]; then
  usage >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "$1" >&2
  exit 1
}

found=$(sed -n '/^\[workspace\.package\]$/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
[ "$found" = "$version" ] || fail "Cargo.toml has version $found, the release is $version"
grep -q "onboarding-api:$version\"" infra/ecs/task-definition.json ||
  fail "infra/ecs/task-definition.json has another version of the image than $version"
# The section ends at the next heading of its level. Blank lines around it are removed.
notes=$(awk -v version="$version" '
  /^## / { inside = $2 == version || $2 == "[" version "]"; next }
  inside { lines[++count] = $0 }
  END {
    first = 1
    while (first <= count && lines[first] == "") first++
    while (count >= first && lines[count] == "") count--
    for (line = first; line <= count; line++) print lines[line]
  }
' CHANGELOG.md)
[ -n "$notes" ] || fail "CHANGELOG.md has no section \"## $version\", or it is empty"
printf '%s\n' "$notes"
