#!/usr/bin/env bash
# Builds an image for one architecture with Docker. A later call pushes the same image.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/build-image.sh NAME ARCHITECTURE VERSION [REPOSITORY]

  NAME          onboarding-api or local-stack: infra/docker/NAME.Dockerfile
  ARCHITECTURE  amd64 or arm64
  VERSION       version in the label of the image
  REPOSITORY    repository to push to; without one, the image NAME:ARCHITECTURE is kept on this
                machine, to scan it first

With REPOSITORY, prints the digest of the image, which has no tag.
END
}

case ${1:-} in
  --help | -h)
    usage
    exit 0
    ;;
esac
if [ $# -lt 3 ] || [ $# -gt 4 ] || ! [[ $2 =~ ^(amd64|arm64)$ ]]; then
  usage >&2
  exit 2
fi
name=$1 architecture=$2 version=$3 repository=${4:-}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -f "infra/docker/$name.Dockerfile" ] || {
  echo "there is no infra/docker/$name.Dockerfile" >&2
  exit 2
}
metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
if [ -n "$repository" ]; then
  output=(--output "type=image,name=$repository,push-by-digest=true,name-canonical=true,push=true")
else
  output=(--load --tag "$name:$architecture")
fi
# Lambda and older tools do not accept an index with attestations; cosign signs instead.
docker buildx build --platform "linux/$architecture" --file "infra/docker/$name.Dockerfile" --provenance=false \
  --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" --metadata-file "$metadata" "${output[@]}" . >&2
if [ -n "$repository" ]; then sed -n 's/.*"containerimage.digest": *"\(sha256:[0-9a-f]*\)".*/\1/p' "$metadata"; fi
