# shellcheck shell=bash
# Sourced by scripts that build programs from Go modules.

# build_go_program PROGRAM MODULE PACKAGE [OPTION...] builds a package of the module in the folder
# MODULE as the file PROGRAM, unless it is there already. It exits with 77, which `.ci/run` reports as
# skipped, if Go or the modules are not available, and with 1 if go.mod or go.sum is wrong.
build_go_program() {
  local program=$1 module=$2 package=$3 name wanted began=$SECONDS
  shift 3
  name=$(basename "$program")
  # Use the installed Go, without downloading another toolchain and without a C compiler.
  local -x GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off
  command -v go >/dev/null || skip_go_program "$name" "Go is not installed"
  wanted=$(go version && printf '%s\n' "$@" && cat "$module"/*)
  [ -x "$program" ] && [ "$(cat "$program.built-from" 2>/dev/null)" = "$wanted" ] && return
  rm -f "$program.built-from"
  mkdir -p "$(dirname "$program")"
  fetch_go_modules "$name" "$module" "$package" "$@"
  go build -C "$module" -trimpath -buildvcs=false -ldflags "-s -w" "$@" -o "$program" "$package"
  printf '%s\n' "$wanted" >"$program.built-from"
  echo "built $name in $((SECONDS - began)) s"
}

fetch_go_modules() {
  local name=$1 module=$2 package=$3 errors
  shift 3
  errors=$(go list -C "$module" -deps "$@" "$package" 2>&1 >/dev/null) && return
  printf '%s\n' "$errors" >&2
  case $errors in *go.sum* | *"SECURITY ERROR"* | *"updates to go.mod"*) exit 1 ;; esac
  skip_go_program "$name" "its Go modules cannot be fetched, or Go is too old"
}

skip_go_program() {
  echo "$1 cannot be built: $2"
  exit 77
}
