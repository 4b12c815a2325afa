# shellcheck shell=bash
# Functions of deploy-stack.sh and roll-back.sh, which set `dry_run`.

# call COMMAND...: runs a command. A dry run prints it instead, quoted for a shell.
call() {
  if [ -n "$dry_run" ]; then
    local word line=
    for word in "$@"; do
      if ! [[ $word =~ ^[A-Za-z0-9_./:=,@-]+$ ]]; then word=${word@Q}; fi
      line+="${line:+ }$word"
    done
    echo "$line"
    return
  fi
  "$@"
}

# parameter_of STACK NAME: prints the value of a parameter, or nothing if the stack does not exist.
parameter_of() {
  [ -z "$dry_run" ] || return 0
  local value
  value=$(aws cloudformation describe-stacks --stack-name "$1" --output text \
    --query "Stacks[0].Parameters[?ParameterKey=='$2'].ParameterValue" 2>/dev/null) || return 0
  [ "$value" = None ] || printf '%s' "$value"
}

# deploy_version STACK FOLDER VERSION IMAGE: builds the function of a checkout, and deploys it. The stack
# keeps the other parameters.
deploy_version() {
  local stack=$1 folder=$2 parameters=("ApplicationVersion=$3")
  [ -z "$4" ] || parameters+=("ProducerImage=$4")
  # shellcheck disable=SC2206 # One word for each parameter.
  parameters+=(${PARAMETERS:-})
  (
    cd "$folder" || exit
    # Keeps the paths of this machine out of the function.
    export CARGO_BUILD_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$PWD=."
    call sam build || exit
    call sam deploy --stack-name "$stack" --no-confirm-changeset --no-fail-on-empty-changeset --no-progressbar \
      ${CLOUDFORMATION_ROLE:+--role-arn "$CLOUDFORMATION_ROLE"} --parameter-overrides "${parameters[@]}"
  )
}
