"""The commands of a page of the guide, which run section by section in one shell, as a reader runs them."""

import pages

# Replacements for commands. Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for SQS, and has no
# `aws logs tail GROUP --since TIME`, which prints time, stream and message of each event. SAM asks
# before it changes something. There is no Docker daemon, and no load balancer to which curl could
# connect.
COMMANDS = """
aws() {
  if [ "${*:1:2} ${4:-}" = "logs tail --since" ] && [ $# = 5 ]; then
    set -- logs filter-log-events --log-group-name "$3" --query 'events[].[timestamp,logStreamName,message]' --output text
  fi
  command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"
}
sam() {
  case $1 in
    build) ;; # Done by run.sh.
    deploy) command sam "$@" --no-confirm-changeset --no-progressbar ;;
    delete) command sam "$@" --no-prompts ;;
  esac
}
docker() { cat >/dev/null; }
curl() { :; }
# The alias is in a folder that the copy of the repository does not have.
cargo() { if [ "$1" = baton ]; then shift && "$BATON" "$@"; else command cargo "$@"; fi; }
# The functions are not exported: the scripts that the page runs use the real commands.
export -fn aws sam docker curl cargo
"""


def checkout(root, folder):
    """Fills a folder with links to the repository's files, so that the commands do not write into the repository."""
    for entry in root.iterdir():
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    return folder


class Page:
    """A page whose commands run in `folder`. `replaced` maps examples on the page, such as an ARN, to values.

    `state` is a file that keeps the variables and functions of the shell between two sections.
    """

    def __init__(self, emulator, page, folder, state, replaced):
        self.emulator = emulator
        self.folder = folder
        self.state = state
        self.sections = pages.sections(page.read_text())
        self.replaced = replaced
        self.has_run = []

    def run(self, *titles, **variables):
        """Runs the commands of these sections, and returns their output."""
        return "".join(self.run_section(title, variables) for title in titles)

    def output(self, name):
        """Returns an output of the page's stack, with the function that the page defines."""
        return self.emulator.run("bash", "-c", f". {self.state}; output {name}", cwd=self.folder).strip()

    def check_complete(self, exceptions):
        """Fails unless all commands of the page have run, except in these sections. `exceptions` gives the reasons."""
        pages.check_complete(self.sections, self.has_run, exceptions)

    def run_section(self, title, variables):
        commands = self.sections[title]
        self.has_run.append(title)
        for example, value in self.replaced.items():
            commands = commands.replace(example, value)
        state = self.state
        before = f"set -euo pipefail; set -a; [ ! -e {state} ] || . {state}"
        script = f"{before}\n{COMMANDS}\n{commands}\n{{ export -p; declare -f; }} >{state}\n"
        variables = {"BATON": str(self.emulator.programs.baton), **variables}
        return self.emulator.run("bash", "-c", script, cwd=self.folder, **variables)

