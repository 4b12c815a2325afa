#!/usr/bin/env bash
# Deploys an earlier version of a stack again, from its commit, and validates it.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/roll-back.sh STACK VERSION [IMAGE] [--dry-run]

  STACK      name of the CloudFormation stack
  VERSION    the earlier version: a commit or a tag of this repository
  IMAGE      image of the onboarding API of that version
  --dry-run  print the calls without making them

environment: as for .github/deploy-stack.sh

Exits with 0 if the earlier version works, 1 if not, and 2 for a usage error. Needs the whole
history of the repository.
END
}

dry_run=
arguments=()
for argument in "$@"; do
  case $argument in
    --help | -h)
      usage
      exit 0
      ;;
    --dry-run) dry_run=yes ;;
    -*)
      usage >&2
      exit 2
      ;;
    *) arguments+=("$argument") ;;
  esac
done
if [ ${#arguments[@]} -lt 2 ] || [ ${#arguments[@]} -gt 3 ]; then
  usage >&2
  exit 2
fi
stack=${arguments[0]} version=${arguments[1]} image=${arguments[2]:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=stack.sh
. "$here/stack.sh"

commit=$(git -C "$here" rev-parse --quiet --verify "$version^{commit}" || git -C "$here" rev-parse --quiet --verify "v$version^{commit}") || {
  echo "version '$version' is not a commit or a tag of this checkout: git fetch --tags --unshallow" >&2
  exit 1
}
work=$(mktemp -d)
checkout=$work/checkout
trap 'git -C "$here" worktree remove --force "$checkout" 2>/dev/null || true; rm -rf "$work"' EXIT
git -C "$here" worktree add --quiet --detach "$checkout" "$commit"

if ! deploy_version "$stack" "$checkout" "$version" "$image"; then
  echo "version $version was not deployed again. See the events of the stack:
  aws cloudformation describe-stack-events --stack-name $stack" >&2
  exit 1
fi
if ! call "$checkout/infra/validate.sh" aws "$stack"; then
  echo "version $version is deployed again, and does not work either" >&2
  exit 1
fi
if [ -n "$dry_run" ]; then echo "dry run: nothing was called"; else echo "rolled back to version $version"; fi
