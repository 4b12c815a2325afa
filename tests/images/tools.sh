# shellcheck shell=bash
# Sourced by compile.sh. Buildah and the base images of the Dockerfiles, from Debian's packages and from
# the toolchains of this machine, so that no image registry is needed. All files are kept in
# `$work`.
: "${root:?}" "${work:?}"

architecture=$(dpkg --print-architecture 2>/dev/null || true)

# apt_get STATUS ARGUMENT... runs apt-get with separate folders, as if the packages in the file
# STATUS were installed.
apt_get() {
  local status=$1
  shift
  apt-get --quiet=2 -o Dir::State="$work/apt" -o Dir::State::status="$status" -o Dir::Cache="$work/apt" \
    -o Acquire::Languages=none -o APT::Sandbox::User=root -o APT::Architectures="$architecture" "$@"
}

fetch_lists() {
  mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
  : >"$work/apt/nothing-installed"
  apt_get "$work/apt/nothing-installed" update
}

# unpack FOLDER STATUS PACKAGE... unpacks packages without running their scripts, together with the
# packages that they need and that STATUS does not have.
unpack() {
  local folder=$1 status=$2 archive
  shift 2
  rm -rf "$folder" "$work/apt/archives/"*.deb
  mkdir -p "$folder"
  apt_get "$status" install --yes --no-install-recommends --download-only --reinstall "$@"
  for archive in "$work/apt/archives/"*.deb; do dpkg-deb --extract "$archive" "$folder"; done
}

# Runs Buildah with separate storage. Its files are mounted over /usr, in a mount namespace that
# ends with Buildah. Every command of a Dockerfile runs in a chroot; TMPDIR has the caches of
# `RUN --mount=type=cache`.
buildah() {
  # shellcheck disable=SC2016 # The inner shell expands its arguments.
  TMPDIR=$work/tmp BUILDAH_ISOLATION=chroot STORAGE_DRIVER=overlay unshare --mount sh -c '
    mount -t overlay -o lowerdir="$0/buildah/usr:/usr" overlay /usr && shift &&
      exec buildah --root "$0/storage" --runroot "$0/run" --registries-conf "$0/buildah/etc/containers/registries.conf" "$@"' "$work" -- "$@"
}

# base NAME FOLDER OPTION... creates an image from a folder, with options of `buildah config`, and
# removes the folder.
base() {
  local name=$1 folder=$2 container
  shift 2
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$folder" / >&2
  buildah config "$@" "$container"
  buildah commit --quiet --rm --format docker --signature-policy "$work/buildah/etc/containers/policy.json" "$container" "localhost/$name" >&2
  rm -rf "$folder"
}

# Copies the certificates of this machine, so that Cargo in the image trusts the same servers.
copy_certificates() {
  mkdir -p "$1/etc/ssl/certs"
  cp --dereference "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$1/etc/ssl/certs/ca-certificates.crt"
}

# Creates the image with a C compiler, rustup and the certificates of this machine. Builds mount the
# toolchains of Rust and Go into it.
build_base() {
  local folder=$work/bases/build rust=$work/bases/build/usr/local
  unpack "$folder" "$work/apt/nothing-installed" gcc libc6-dev dash coreutils
  mkdir -p "$folder/root" "$folder/tmp" "$rust/cargo/bin" "$rust/rustup"
  # The links that the scripts of the packages would create.
  ln -sf dash "$folder/bin/sh"
  ln -sf gcc "$folder/usr/bin/cc"
  copy_certificates "$folder"
  cp "$(command -v rustup)" "$rust/cargo/bin/rustup"
  ln -sf rustup "$rust/cargo/bin/cargo"
  ln -sf rustup "$rust/cargo/bin/rustc"
  printf 'version = "12"\ndefault_toolchain = "image"\n' >"$rust/rustup/settings.toml"
  # Without debug information, which takes time and is not checked.
  base build "$folder" --env HOME=/root --env CARGO_HOME=/usr/local/cargo --env RUSTUP_HOME=/usr/local/rustup --env GOTOOLCHAIN=local \
    --env CARGO_PROFILE_DEV_DEBUG=none --env CARGO_INCREMENTAL=0 \
    --env PATH=/usr/local/cargo/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

# Creates the image with the C library and without a shell.
runtime_base() {
  unpack "$work/bases/runtime" "$work/apt/nothing-installed" libc6
  copy_certificates "$work/bases/runtime"
  base runtime "$work/bases/runtime"
}

# Creates the image of the Collector with the components that the configuration uses. The program
# has the same path as in the image of the OpenTelemetry project.
collector_base() {
  local folder=$work/bases/otelcol
  mkdir -p "$folder"
  build_collector "$root/target/collector"
  cp "$root/target/collector/otelcol" "$folder/otelcol-contrib"
  base otelcol "$folder" --user 10001 --entrypoint '["/otelcol-contrib"]' --cmd --config=/etc/otelcol-contrib/config.yaml
}

# copy_files CONTAINER FOLDER copies the files of a container.
copy_files() {
  # shellcheck disable=SC2016 # The inner shell expands its arguments.
  TMPDIR=$work/tmp STORAGE_DRIVER=overlay unshare --mount sh -c '
    mount -t overlay -o lowerdir="$0/buildah/usr:/usr" overlay /usr
    storage="--root $0/storage --runroot $0/run"
    files=$(buildah $storage mount "$1") && cp --archive "$files/." "$2" && buildah $storage umount "$1" >/dev/null' "$work" "$@"
}
