#!/bin/sh
# Compiles a package of the workspace in the build stage of an image. The compiler runs on the
# architecture of the build machine and generates code for that of the image, because an emulated
# compiler takes many times as long.
#
#   compile.sh tools                     installs the compilers for the architecture of the image
#   compile.sh package NAME [OPTION...]  compiles a package with these options of cargo, and writes
#                                        its binary to /out
#
# BINARY is the name of the binary, by default that of the package.
# TARGETARCH is the architecture of the image in Docker's spelling, PROFILE a profile of Cargo.
set -eu

case ${TARGETARCH:?} in
  amd64) target=x86_64-unknown-linux-gnu gcc=x86_64-linux-gnu-gcc packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;;
  arm64) target=aarch64-unknown-linux-gnu gcc=aarch64-linux-gnu-gcc packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;;
  *)
    echo "unknown architecture $TARGETARCH, expected amd64 or arm64" >&2
    exit 2
    ;;
esac

# Installs the linker, which also compiles the C code of crates, and the standard library of Rust.
# Debian's native compiler has this long name too.
tools() {
  if ! command -v "$gcc" >/dev/null; then
    apt-get update
    # shellcheck disable=SC2086 # One word for each package.
    apt-get install --yes --no-install-recommends $packages
    rm -rf /var/lib/apt/lists/*
  fi
  if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then rustup target add "$target"; fi
}

package() {
  name=$1
  binary=${BINARY:-$name}
  shift
  # The folder of the profile `dev` has another name.
  folder=${PROFILE:?}
  if [ "$folder" = dev ]; then folder=debug; fi
  # Panic messages contain the paths of the dependencies' source files. Those of the workspace are
  # relative.
  export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:?}=/cargo"
  export "CARGO_TARGET_$(echo "$target" | tr '[:lower:]-' '[:upper:]_')_LINKER=$gcc"
  cargo build --locked --profile "$PROFILE" --target "$target" --package "$name" --bin "$binary" "$@"
  install -D "target/$target/$folder/$binary" "/out/$binary"
}

"$@"
