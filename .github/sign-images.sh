#!/usr/bin/env bash
# Joins the images of two architectures under a tag, and signs them with the identity of the workflow.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/sign-images.sh REPOSITORY TAG DIGESTS SBOMS

  REPOSITORY  first part of the names of the repositories, such as REGISTRY/baton
  TAG         tag of the images, which must not exist yet
  DIGESTS     folder with a file NAME-ARCHITECTURE for each image, which contains its digest
  SBOMS       folder with the bills of materials, NAME-VERSION.cdx.json

Prints NAME=REPOSITORY/NAME@DIGEST for each image. Needs docker and cosign.
END
}

case ${1:-} in
  --help | -h)
    usage
    exit 0
    ;;
esac
if [ $# != 4 ]; then
  usage >&2
  exit 2
fi
repository=$1 tag=$2 digests=$3 sboms=$4

for name in onboarding-api local-stack; do
  images=()
  for architecture in amd64 arm64; do
    digest=$(cat "$digests/$name-$architecture")
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || {
      echo "$digests/$name-$architecture: expected a digest, found '$digest'" >&2
      exit 1
    }
    images+=("$repository/$name@$digest")
  done
  docker buildx imagetools create --tag "$repository/$name:$tag" "${images[@]}" >&2
  digest=$(docker buildx imagetools inspect "$repository/$name:$tag" --format '{{.Manifest.Digest}}')
  image=$repository/$name@$digest
  cosign sign --yes --recursive "$image" >&2
  case $name in
    local-stack) programs=(baton-local onboarding-lambda) ;;
    *) programs=("$name") ;;
  esac
  for program in "${programs[@]}"; do
    for sbom in "$sboms/$program"-*.cdx.json; do
      [ -f "$sbom" ] || {
        echo "$sboms: there is no bill of materials of $program" >&2
        exit 1
      }
      cosign attest --yes --type cyclonedx --predicate "$sbom" "$image" >&2
    done
  done
  echo "$name=$image"
done
