#!/usr/bin/env bash
# Builds the images of infra/docker with Buildah, without a registry and without Docker, for run.sh.
#
# Needs root, Debian's apt, rustup, Go and python3. Downloads, caches and images are kept under
# target/images. The services are compiled without optimisations, for the architecture of this
# machine.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/images
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=tools.sh
. "$here/tools.sh"
# shellcheck source=../collector/build.sh
. "$here/../collector/build.sh"

skip() {
  echo "$1"
  exit "$skipped"
}

get_buildah() {
  fetch_lists && unpack "$work/buildah" /var/lib/dpkg/status buildah golang-github-containers-common golang-github-containers-image && buildah --version
}

# Prepares the tools and the base images again if the scripts or the version of Go have changed.
prepare() {
  local wanted began=$SECONDS
  wanted=$(cat "$here/tools.sh" "$root"/tests/collector/distribution/* && go version)
  [ "$(cat "$work/prepared" 2>/dev/null)" = "$wanted" ] && buildah --version >/dev/null 2>&1 && return
  # Keeps tmp, which has the caches of the builds.
  rm -rf "$work/apt" "$work/buildah" "$work/storage" "$work/run"
  mkdir -p "$work/tmp"
  get_buildah >&2 || skip "Buildah cannot be fetched from Debian's packages or does not run here"
  build_base
  runtime_base
  collector_base
  printf '%s\n' "$wanted" >"$work/prepared"
  echo "built the base images in $((SECONDS - began)) s"
}

# build IMAGE BASES [OPTION...] builds an image from its Dockerfile.
build() {
  local image=$1 bases=$2 began=$SECONDS
  shift 2
  # shellcheck disable=SC2086 # One word for each base image.
  buildah build --quiet --layers --format docker --pull-never --signature-policy "$work/buildah/etc/containers/policy.json" \
    --platform "linux/$architecture" --volume "$toolchain:/usr/local/rustup/toolchains/image:ro" --volume "$(go env GOROOT):/usr/local/go:ro" \
    --build-arg VERSION=1.2.3 --build-arg REVISION="$revision" $bases "$@" \
    --file "$root/infra/docker/$image.Dockerfile" --tag "localhost/$image" "$root" >"$work/$image.log" 2>&1 || {
    cat "$work/$image.log"
    echo "the build of infra/docker/$image.Dockerfile failed"
    return 1
  }
  echo "built $image in $((SECONDS - began)) s"
}

# save IMAGE copies the settings and the files of an image to $work/built, in place of those of an
# earlier build.
save() {
  mkdir -p "$work/built"
  rm -rf "$work/built/$1"
  buildah inspect --type image "localhost/$1" >"$work/built/$1.json"
  # The mount points for /proc and /dev, which Docker creates.
  local container
  container=$(buildah from --signature-policy "$work/buildah/etc/containers/policy.json" --pull-never "localhost/$1")
  mkdir -p "$work/built/$1/proc" "$work/built/$1/dev"
  copy_files "$container" "$work/built/$1"
  buildah rm "$container" >/dev/null
}

[ "$(id -u)" = 0 ] || skip "the images cannot be built: this needs root, for mount namespaces"
command -v apt-get >/dev/null || skip "Buildah cannot be installed: apt-get is not installed"
command -v go >/dev/null || skip "the collector's image cannot be built: Go is not installed"
toolchain=$(rustup which rustc 2>/dev/null) || skip "the images cannot be built: rustup is not installed"
toolchain=${toolchain%/bin/rustc}
revision=$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)

cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package baton-local --bin baton
prepare
rust="--build-arg RUST_IMAGE=localhost/build --build-arg BASE_IMAGE=localhost/runtime --build-arg PROFILE=dev"
build onboarding-api "$rust"
build onboarding-lambda "$rust"
build local-stack "$rust"
build collector "--build-arg GO_IMAGE=localhost/build --build-arg COLLECTOR_IMAGE=localhost/otelcol"
for image in onboarding-api onboarding-lambda local-stack collector; do save "$image"; done
# Removes the layers of earlier builds.
buildah rmi --prune >/dev/null || true
