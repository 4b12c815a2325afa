#!/usr/bin/env bash
# Deploys template.yaml with a new version, validates the stack, and deploys the previous version again
# if that fails.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/deploy-stack.sh STACK VERSION [IMAGE] [--dry-run]

  STACK      name of the CloudFormation stack
  VERSION    version of the application: the commit or tag that is checked out
  IMAGE      image of the onboarding API; without one, the stack keeps the image that it has
  --dry-run  print the calls without making them

environment:
  AWS_REGION, ...      as for the AWS CLI
  CLOUDFORMATION_ROLE  ARN of the role with which CloudFormation changes the resources
  PARAMETERS           more parameters, as for `sam deploy --parameter-overrides`
  TRACE_URL, ...       as for infra/validate.sh

Exits with 0 if the new version works, 1 if it was rolled back or could not be, and 2 for a usage
error. Needs sam, aws, cargo-lambda, curl and git.
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
# Defines call, parameter_of and deploy_version.
# shellcheck source=stack.sh
. "$here/stack.sh"

previous_version=$(parameter_of "$stack" ApplicationVersion)
previous_image=$(parameter_of "$stack" ProducerImage)
if deploy_version "$stack" "$here/.." "$version" "$image"; then
  if call "$here/../infra/validate.sh" aws "$stack"; then
    if [ -n "$dry_run" ]; then echo "dry run: nothing was called"; else echo "deployed version $version"; fi
    exit
  fi
  problem="version $version does not work"
else
  # CloudFormation has restored the resources itself.
  problem="version $version was not deployed"
  state=$(aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' --output text 2>/dev/null || echo unknown)
  case $state in
    UPDATE_ROLLBACK_COMPLETE)
      echo "$problem; CloudFormation has restored version ${previous_version:-of before}" >&2
      exit 1
      ;;
  esac
fi

if [ -z "$previous_version" ] || [ "$previous_version" = "$version" ]; then
  echo "$problem. There is no previous version to go back to" >&2
  exit 1
fi
echo "$problem. Rolling back to $previous_version" >&2
"$here/roll-back.sh" "$stack" "$previous_version" ${previous_image:+"$previous_image"} || true
exit 1
