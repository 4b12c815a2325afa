#!/usr/bin/env bash
# Builds the files of a release for the architecture of this machine.
set -euo pipefail

usage() {
  cat <<'END'
usage: .github/release-files.sh FOLDER [PART...]

  FOLDER  receives the files; it is created if necessary
  PART    what to build, by default everything:
          program   the command `baton`, as an archive
          function  the onboarding function, as a ZIP file for Lambda
          sboms     a software bill of materials (CycloneDX) of each program
          sums      SHA256SUMS of the files in FOLDER

environment:
  PROFILE  profile of Cargo for `baton`; release by default

Needs cargo, cargo-lambda (function) and cargo-cyclonedx (sboms).
END
}

case ${1:-} in
  --help | -h)
    usage
    exit 0
    ;;
  "" | -*)
    usage >&2
    exit 2
    ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(program function sboms sums)
profile=${PROFILE:-release}
cd "$root"
version=$(sed -n '/^\[workspace\.package\]$/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
case $(uname -m) in
  x86_64) architecture=x86_64 lambda_architecture=--x86-64 ;;
  aarch64 | arm64) architecture=arm64 lambda_architecture=--arm64 ;;
  *)
    echo "unknown architecture $(uname -m), expected x86_64 or arm64" >&2
    exit 1
    ;;
esac
# Keeps the paths of this machine out of the programs.
export CARGO_BUILD_RUSTFLAGS="${CARGO_BUILD_RUSTFLAGS---remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$root=.}"

part_program() {
  local target
  target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  cargo build --locked --profile "$profile" --package baton-local --bin baton
  # The folder of the profile `dev` has another name.
  [ "$profile" != dev ] || profile=debug
  tar --create --gzip --file "$folder/baton-$version-linux-$architecture.tar.gz" --owner 0 --group 0 --numeric-owner \
    --directory "$target/$profile" baton --directory "$root" LICENSE README.md
}

part_function() {
  local work
  work=$(mktemp -d)
  cargo lambda build --release "$lambda_architecture" --package onboarding-lambda --output-format zip --lambda-dir "$work"
  mv "$work/onboarding-lambda/bootstrap.zip" "$folder/onboarding-lambda-$version-linux-$architecture.zip"
  rm -rf "$work"
}

# cargo-cyclonedx writes a file next to each manifest.
part_sboms() {
  local name=baton-sbom package
  cargo cyclonedx --manifest-path Cargo.toml --format json --spec-version 1.5 --target all --override-filename "$name"
  for package in local services/onboarding-api services/onboarding-lambda; do
    mv "$package/$name.json" "$folder/$(sed -n 's/^name = "\(.*\)"$/\1/p' "$package/Cargo.toml" | head -n 1)-$version.cdx.json"
  done
  # Those of the other packages, which are not programs.
  git ls-files --others --exclude-standard | grep "/$name\.json\$" | xargs --no-run-if-empty rm --
}

part_sums() {
  local sums
  sums=$(cd "$folder" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | LC_ALL=C sort | xargs --no-run-if-empty sha256sum)
  printf '%s\n' "$sums" >"$folder/SHA256SUMS"
}

for part in "${parts[@]}"; do
  declare -F "part_$part" >/dev/null || {
    echo "unknown part '$part', expected program, function, sboms or sums" >&2
    exit 2
  }
done
for part in "${parts[@]}"; do "part_$part"; done
(cd "$folder" && ls -l)
