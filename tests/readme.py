"""The function in the README, for the suites that build it as a user does."""

import re

# The dependency in the README's manifest, which each suite replaces.
DEPENDENCY = '{ git = "REPOSITORY" }'


def function(root):
    """Returns the function, its tests and the rest of its manifest from the README."""
    section = (root / "README.md").read_text().split("## In your own function", 1)[1]
    blocks = re.findall(r"```(rust|toml)\n(.*?)```", section, re.DOTALL)
    source = next(text for language, text in blocks if language == "rust")
    tests = next(text for language, text in blocks if text.startswith("#[cfg(test)]"))
    manifest = next(text for language, text in blocks if language == "toml")
    return source, tests, manifest


def package(name, manifest, dependency):
    """Returns the manifest of a package: the README's, with `dependency` as the value of `baton-lambda`."""
    assert DEPENDENCY in manifest, f"the README's manifest does not contain {DEPENDENCY}"
    head = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n'
    return head + manifest.replace(DEPENDENCY, dependency)
