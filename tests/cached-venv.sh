# shellcheck shell=bash
# Sourced by scripts that keep their Python packages between runs.

# cached_venv FOLDER REQUIREMENTS creates a virtual environment in FOLDER/venv with the packages of
# a requirements file. The environment is created again when the requirements or the version of
# Python change. PYTHON names an interpreter other than python3.
cached_venv() {
  local work=$1 requirements=$2 python=${PYTHON:-python3} wanted
  wanted=$(cat "$requirements" && "$python" --version)
  [ "$(cat "$work/installed" 2>/dev/null)" = "$wanted" ] && return
  rm -rf "$work/venv" "$work/installed"
  mkdir -p "$work"
  "$python" -m venv "$work/venv" &&
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" &&
    printf '%s\n' "$wanted" >"$work/installed"
}
