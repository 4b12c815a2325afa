#!/usr/bin/env python3
"""Writes the collector's configuration into the SAM template. Run it after changing a file in this folder.

The text of FILE replaces the block below each comment "From infra/collector/FILE, without comments:". Comments are
omitted, because a standard parameter of Systems Manager holds 4 KB. Also updates COLLECTOR_CONFIGURATION_SHA256, the
digest of these texts, in the template and in the task definition.
"""

import hashlib
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
TEMPLATE = ROOT / "template.yaml"
TASK = ROOT / "infra/ecs/task-definition.json"

# The comment, the line that begins the block, and its lines, which are indented further.
BLOCK = re.compile(
    r"(?P<head>^ *# From infra/collector/(?P<file>[a-z/.-]+), without comments:\n^(?P<indent> *)[^\n]*\|\n)(?:(?P=indent) +[^\n]*\n)+",
    re.MULTILINE,
)
# 64 hexadecimal digits on the line after the variable's name.
DIGEST = re.compile(r"(COLLECTOR_CONFIGURATION_SHA256[^\n]*\n[^\n]*)\b[0-9a-f]{64}\b")


def without_comments(text):
    """Returns the lines that are neither empty nor comments."""
    return [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def embed_files(template):
    """Returns the template with the current text of each file, and their digest."""
    texts = []

    def replace_block(found):
        lines = without_comments((FOLDER / found["file"]).read_text())
        texts.extend(lines)
        return found["head"] + "".join(f"{found['indent']}  {line}\n" for line in lines)

    written, blocks = BLOCK.subn(replace_block, template)
    assert blocks, "template.yaml has no comment 'From infra/collector/…'"
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return replace_digest(written, digest), digest


def replace_digest(text, digest):
    written, digests = DIGEST.subn(lambda found: found[1] + digest, text)
    assert digests == 1, f"expected one COLLECTOR_CONFIGURATION_SHA256, found {digests}"
    return written


def main():
    template, digest = embed_files(TEMPLATE.read_text())
    TEMPLATE.write_text(template)
    TASK.write_text(replace_digest(TASK.read_text(), digest))


if __name__ == "__main__":
    main()
