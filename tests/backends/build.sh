# shellcheck shell=bash
# Sourced by compile.sh. Builds the programs of the backends from their Go modules.
: "${here:?}" "${work:?}"

# Use the installed Go, without downloading another toolchain and without a C compiler.
export GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off

# build FOLDER PACKAGE PROGRAM [OPTION...] builds a package of the module in FOLDER as
# $work/PROGRAM, unless it is there already.
build() {
  local module=$here/$1 package=$2 program=$3 wanted began=$SECONDS
  shift 3
  wanted=$(go version && printf '%s\n' "$@" && cat "$module"/*)
  [ -x "$work/$program" ] && [ "$(cat "$work/$program.built-from" 2>/dev/null)" = "$wanted" ] && return
  rm -f "$work/$program.built-from"
  mkdir -p "$work"
  fetch "$program" "$module" "$package" "$@"
  go build -C "$module" -trimpath -buildvcs=false -ldflags "-s -w" "$@" -o "$work/$program" "$package"
  printf '%s\n' "$wanted" >"$work/$program.built-from"
  echo "built $program in $((SECONDS - began)) s"
}

# Fetches the modules of a program. If go.mod or go.sum is wrong, the suite fails. If fetching fails
# for any other reason, the suite is skipped.
fetch() {
  local program=$1 module=$2 package=$3 errors
  shift 3
  errors=$(go list -C "$module" -deps "$@" "$package" 2>&1 >/dev/null) && return
  printf '%s\n' "$errors" >&2
  case $errors in *go.sum* | *"SECURITY ERROR"* | *"updates to go.mod"*) exit 1 ;; esac
  skip "$program cannot be built: its Go modules cannot be fetched, or Go is too old"
}

skip() {
  echo "$1"
  exit 77 # `.ci/run` reports it as skipped.
}

# Compiling without optimisation takes a third of the time. All targets are static, so Prometheus is
# built without service discovery.
unoptimised=(-gcflags "all=-N -l")
build_prometheus() {
  build prometheus github.com/prometheus/prometheus/cmd/prometheus prometheus "${unoptimised[@]}" -tags remove_all_sd
  build prometheus github.com/prometheus/prometheus/cmd/promtool promtool "${unoptimised[@]}" -tags remove_all_sd
}

build_loki() { build loki github.com/grafana/loki/v3/cmd/loki loki "${unoptimised[@]}"; }

build_formats() { build formats . formats; }
