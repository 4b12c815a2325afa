"""The commands of the guide's pages, for the suites that run them."""

import re


def sections(text):
    """Returns the commands of each section by title. The pages have example output in separate blocks."""
    found = {}
    # The part before the first section has the title of the page.
    for part in re.split(r"\A# |^##+ ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        blocks = re.findall(r"^```console\n(.*?)^```$", body, flags=re.DOTALL | re.MULTILINE)
        assert title not in found, f"two sections have the title {title!r}"
        found[title] = re.sub(r"^\$ ", "", "".join(blocks), flags=re.MULTILINE)
    return found


def check_complete(commands, has_run, exceptions):
    """Fails unless each section with commands either has run or is in `exceptions`, which gives the reasons."""
    with_commands = {title for title, text in commands.items() if text}
    forgotten = with_commands - set(has_run) - set(exceptions)
    assert not forgotten, f"the commands of these sections are not run: {sorted(forgotten)}"
    unneeded = set(exceptions) - (with_commands - set(has_run))
    assert not unneeded, f"these sections have no commands, or are run: {sorted(unneeded)}"
