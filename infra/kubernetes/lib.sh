# shellcheck shell=bash
# shellcheck disable=SC2034 # The scripts use the variables.
# Functions of the scripts in this folder, which source it.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Namespaces of the overlays.
services_namespace=onboarding
telemetry_namespace=observability
# Values in the overlays that users must replace, as an extended regular expression.
example_values='123456789012|[a-z.]*example\.com|example-cluster'
wait_seconds=${WAIT_SECONDS:-300}
context=
dry_run=
failures=0
work=$(mktemp -d)
forwards=()

# A dry run prints its calls here, because the scripts read the standard output of a call.
exec 3>&1

finish() {
  local process
  for process in ${forwards[@]+"${forwards[@]}"}; do kill "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# fail MESSAGE [CODE]: prints a message with the cause and what to do, and exits.
fail() {
  printf '%s\n' "$1" >&2
  exit "${2:-1}"
}

# parse_arguments COUNT ARGUMENT...: reads the options, which every script has, and the arguments
# into the array `arguments`. Prints `usage` and exits if their number is not COUNT.
parse_arguments() {
  local count=$1
  shift
  arguments=()
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h)
        usage
        exit 0
        ;;
      --dry-run) dry_run=yes ;;
      --context)
        [ $# -ge 2 ] || fail "--context: expected the name of a context: kubectl config get-contexts" 2
        context=$2
        shift
        ;;
      -*) if ! parse_option "$1"; then
        usage >&2
        exit 2
      fi ;;
      *) arguments+=("$1") ;;
    esac
    shift
  done
  if [ ${#arguments[@]} != "$count" ]; then
    usage >&2
    exit 2
  fi
  [[ $wait_seconds =~ ^[1-9][0-9]*$ ]] || fail "WAIT_SECONDS: expected a positive integer, found '$wait_seconds'" 2
}

# Options of a single script. It defines the function again if it has any.
parse_option() { return 1; }

need_tools() {
  local tool
  for tool in "$@"; do command -v "$tool" >/dev/null || fail "$tool is not installed" 2; done
}

# quoted WORD...: prints the words, quoted for a shell.
quoted() {
  local word line=
  for word in "$@"; do
    if ! [[ $word =~ ^[A-Za-z0-9_./:=,@-]+$ ]]; then word=${word@Q}; fi
    line+="${line:+ }$word"
  done
  printf '%s\n' "$line"
}

# call COMMAND...: runs a command that changes the cluster. A dry run prints it instead.
call() {
  if [ -n "$dry_run" ]; then
    printf '        %s\n' "$(quoted "$@")" >&3
    return
  fi
  "$@"
}

# kube ARGUMENT...: runs kubectl in the selected context.
kube() { call kubectl ${context:+--context "$context"} "$@"; }

# ---- overlays -----------------------------------------------------------------------------------

# select_overlay NAME-OR-FOLDER: sets `overlay`, its folder, and `overlay_name`, and builds the
# manifests into the file `manifests`.
select_overlay() {
  overlay=$here/overlays/$1
  if [ ! -d "$overlay" ]; then overlay=$1; fi
  [ -f "$overlay/kustomization.yaml" ] ||
    fail "overlay '$1': expected $(list_overlays), or a folder with a kustomization.yaml" 2
  overlay=$(cd "$overlay" && pwd)
  # deploy.sh builds an overlay on top of the one that users know.
  overlay_name=${OVERLAY_NAME:-$1}
  manifests=$work/manifests.yaml
  local errors
  if ! errors=$(kubectl kustomize --load-restrictor LoadRestrictionsNone "$overlay" 2>&1 >"$manifests"); then
    fail "the overlay cannot be built: $errors
Run kubectl kustomize --load-restrictor LoadRestrictionsNone $overlay"
  fi
}

list_overlays() {
  local names
  names=$(cd "$here/overlays" && printf '%s, ' *)
  printf '%s' "${names%, }"
}

# folders FOLDER: prints the folder of an overlay, and those that it builds on.
folders() {
  local below
  echo "$1"
  while read -r below; do
    if [ -d "$1/$below" ]; then folders "$(cd "$1/$below" && pwd)"; fi
  done < <(sed -n 's|^ *- \(\.\./.*\)$|\1|p' "$1/kustomization.yaml")
}

# Stops if the manifests contain values that are only examples.
refuse_example_values() {
  local value file found=
  while read -r value; do
    found=yes
    printf 'example value left: %s\n' "$value" >&2
    # The overlays replace the examples of the components.
    {
      folders "$overlay" | grep -v "^$here/components/" | sort -u | xargs grep -rlF -- "$value" ||
        folders "$overlay" | sort -u | xargs grep -rlF -- "$value"
    } | while read -r file; do printf '  in %s\n' "${file#"$PWD"/}" >&2; done
  done < <(grep -v '^ *#' "$manifests" | grep -oE "$example_values" | sort -u)
  [ -z "$found" ] || fail "Replace the example values with your own. docs/kubernetes.md lists them."
}

# objects [KIND...]: prints kind, namespace and name of each object in the manifests, one a line.
# kubectl kustomize writes the keys of the first two levels with this indentation.
objects() {
  awk -v kinds=" $* " '
    function flush() {
      if (kind != "" && (kinds == "  " || index(kinds, " " kind " "))) print kind, (namespace == "" ? "-" : namespace), name
      kind = namespace = name = section = ""
    }
    /^---/ { flush(); next }
    /^[a-zA-Z]/ { section = $1 }
    /^kind: / { kind = $2 }
    section == "metadata:" && /^  name: / { name = $2 }
    section == "metadata:" && /^  namespace: / { namespace = $2 }
    END { flush() }
  ' "$manifests"
}

has_object() { objects "$1" | grep -q " $2\$"; }

# ---- the cluster --------------------------------------------------------------------------------

# Oldest minor version of Kubernetes 1: it has sidecars, which the overlay `local` uses.
oldest_minor=29

check_cluster() {
  if [ -n "$dry_run" ]; then
    kube get --raw /version
    return
  fi
  local version minor
  version=$(kube get --raw /version 2>&1) ||
    fail "the cluster does not respond: $version
Check kubectl config current-context, or name another with --context."
  minor=$(sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p' <<<"$version")
  [ -n "$minor" ] || fail "the cluster's version is unknown: $version"
  [ "$minor" -ge "$oldest_minor" ] || fail "the cluster has Kubernetes 1.$minor, expected 1.$oldest_minor or later"
}

# explain KIND NAMESPACE NAME: prints why the pods of a workload are not ready, and what to do.
explain() {
  local kind=$1 namespace=$2 name=$3 pods pod reason
  pods=$(kube get pods --namespace "$namespace" --selector "app.kubernetes.io/name=$name" --output 'jsonpath={.items[*].metadata.name}' 2>/dev/null || true)
  if [ -z "$pods" ]; then
    echo "$kind $name has created no pod. Its events have the cause, such as a quota or a policy:" >&2
    echo "  kubectl describe ${kind,,} $name --namespace $namespace" >&2
    return
  fi
  for pod in $pods; do
    reason=$(kube get pod "$pod" --namespace "$namespace" --output 'jsonpath={.status.containerStatuses[*].state.waiting.reason}' 2>/dev/null || true)
    case $reason in
      *ImagePull* | *InvalidImageName*)
        echo "pod $pod: the image cannot be pulled: $(kube get pod "$pod" --namespace "$namespace" --output 'jsonpath={.spec.containers[*].image}')" >&2
        echo "  Check images in the overlay's kustomization.yaml, and that the nodes may pull it." >&2
        ;;
      *CreateContainerConfigError*)
        echo "pod $pod: a ConfigMap or Secret, or a key in it, does not exist:" >&2
        echo "  kubectl describe pod $pod --namespace $namespace" >&2
        ;;
      *CrashLoopBackOff* | *Error*)
        echo "pod $pod: the container exits. The last lines of its log:" >&2
        kube logs "$pod" --namespace "$namespace" --tail 10 >&2 || true
        ;;
      *)
        if [ "$(kube get pod "$pod" --namespace "$namespace" --output 'jsonpath={.status.phase}' 2>/dev/null)" = Pending ]; then
          echo "pod $pod: no node accepts the pod, or a volume is missing:" >&2
          echo "  kubectl describe pod $pod --namespace $namespace" >&2
        elif [ "$name" = onboarding-api ]; then
          echo "pod $pod: the API is not ready. Most likely it cannot reach its queue: check QUEUE_URL, the role of the service account, and the NetworkPolicy." >&2
          echo "  kubectl logs $pod --namespace $namespace --tail 20" >&2
        else
          echo "pod $pod is not ready:" >&2
          echo "  kubectl logs $pod --namespace $namespace --tail 20" >&2
        fi
        ;;
    esac
  done
}

# Waits until the pods of all workloads are ready.
wait_for_rollouts() {
  local kind namespace name errors
  while read -r kind namespace name; do
    if [ -n "$dry_run" ]; then
      kube rollout status "${kind,,}/$name" --namespace "$namespace" --timeout "${wait_seconds}s"
    elif errors=$(kube rollout status "${kind,,}/$name" --namespace "$namespace" --timeout "${wait_seconds}s" 2>&1); then
      echo "ok      $kind $name is rolled out"
    else
      echo "FAILED  $kind $name is not rolled out: $(tail -n 1 <<<"$errors")" >&2
      explain "$kind" "$namespace" "$name"
      return 1
    fi
  done < <(objects Deployment StatefulSet DaemonSet)
}

# ---- checks -------------------------------------------------------------------------------------

# check TITLE OK DETAIL: prints a line, and counts a failure if OK is not "yes".
check() {
  if [ -n "$dry_run" ]; then
    printf 'check   %s\n' "$1"
  elif [ "$2" = yes ]; then
    printf 'ok      %s%s\n' "$1" "${3:+: $3}"
  else
    printf 'FAILED  %s%s\n' "$1" "${3:+: $3}"
    failures=$((failures + 1))
  fi
}

not_checked() { printf -- '-       not checked: %s\n' "$1"; }

# forward NAMESPACE TARGET PORT: forwards a free local port to a port of a pod or Service, and sets
# `forwarded` to the local address.
forward() {
  if [ -n "$dry_run" ]; then
    kube port-forward --namespace "$1" "$2" ":$3"
    forwarded="http://127.0.0.1:LOCAL_PORT"
    return
  fi
  local log=$work/forward.${#forwards[@]} until=$((SECONDS + 30)) port=
  kubectl ${context:+--context "$context"} port-forward --namespace "$1" "$2" ":$3" >"$log" 2>&1 3>&- &
  local process=$!
  forwards+=("$process")
  while [ -z "$port" ]; do
    port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log" | head -n 1)
    if [ -z "$port" ]; then
      if ! kill -0 "$process" 2>/dev/null || [ "$SECONDS" -ge "$until" ]; then
        forwarded=$(tail -n 1 "$log")
        return 1
      fi
      sleep 0.1
    fi
  done
  forwarded=http://127.0.0.1:$port
}

http_call() { call curl --silent --show-error --fail --max-time 10 "$@"; }

# wait_for COMMAND...: repeats a command until it succeeds or the time limit has passed.
wait_for() {
  local until=$((SECONDS + wait_seconds))
  until "$@"; do
    if [ -n "$dry_run" ]; then return; fi
    if [ "$SECONDS" -ge "$until" ]; then return 1; fi
    sleep 1
  done
}

# Prints the result, and exits.
conclude() {
  if [ -n "$dry_run" ]; then
    echo "dry run: nothing was called"
  elif [ "$failures" = 0 ]; then
    echo "all checks passed"
  else
    echo "failed checks: $failures"
    exit 1
  fi
}
