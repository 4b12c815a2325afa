#!/usr/bin/env bash
# Builds the arm64 function with `sam build`, as it is deployed, and installs what run.sh needs to
# start it.
#
# Needs python3, Rust and apt-get, on Debian or Ubuntu; installs SAM, cargo-lambda, moto and QEMU
# under target and keeps them there. Adds the target aarch64-unknown-linux-gnu to the toolchain, as
# cargo-lambda does.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/target/arm64
# The virtual environments of other suites.
sam=$root/target/sam
lambda=$root/target/cargo-lambda
moto=$root/target/moto
qemu=$work/qemu
# Exit code that `.ci/run` reports as skipped.
skipped=77

# shellcheck source=../cached-venv.sh
. "$here/../cached-venv.sh"

skip() {
  echo "$1"
  exit "$skipped"
}

# Unpacks the emulator and an arm64 C library. Uses its own package lists, so that the system stays
# unchanged.
install_qemu() {
  [ -e "$qemu/usr/bin/qemu-aarch64-static" ] && return
  local folder=$work/apt package
  local options=(-o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o "APT::Sandbox::User=" -o Debug::NoLocking=1 -qq)
  rm -rf "$folder" "$qemu"
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/packages"
  (cd "$folder/packages" && apt-get "${options[@]}" update &&
    apt-get "${options[@]}" download qemu-user-static libc6-arm64-cross libgcc-s1-arm64-cross) || return
  for package in "$folder"/packages/*.deb; do dpkg-deb --extract "$package" "$qemu" || return; done
  # The package has emulators of 60 other machines.
  find "$qemu/usr/bin" -type f ! -name qemu-aarch64-static -delete
  rm -rf "$folder"
}

build_function() {
  local began=$SECONDS
  # Without these options, the function contains paths of this machine. They are not in RUSTFLAGS,
  # because that would replace the processor that cargo-lambda selects.
  env --unset RUSTFLAGS CARGO_BUILD_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$root=." \
    CARGO_TARGET_DIR="$work/cargo" SAM_CLI_TELEMETRY=0 PATH="$lambda/venv/bin:$sam/venv/bin:$PATH" \
    sam build --base-dir "$root" --template-file "$root/template.yaml" --build-dir "$work/sam" >"$work/build.log" 2>&1 || {
    cat "$work/build.log"
    exit 1
  }
  echo "built the function in $((SECONDS - began)) s"
}

mkdir -p "$work"
command -v apt-get >/dev/null || skip "QEMU cannot be installed: apt-get is not installed"
install_qemu >&2 || skip "QEMU cannot be installed: apt-get does not find its packages"
cached_venv "$lambda" "$here/../cargo-lambda/requirements.txt" >&2 || skip "cargo-lambda cannot be installed"
cached_venv "$sam" "$here/../sam.txt" >&2 || skip "SAM cannot be installed"
cached_venv "$moto" "$here/../moto/requirements.txt" >&2 || skip "moto cannot be installed"
if command -v rustup >/dev/null; then
  (cd "$root" && rustup --quiet target add aarch64-unknown-linux-gnu >&2) || skip "the target aarch64-unknown-linux-gnu cannot be installed"
fi
build_function
cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package baton-local --bin baton
