"""Checks the deployment files, and proves with broken copies that each check can fail. Started by `run.sh`."""

import json
import pathlib
import sys

import yaml
from samtranslator.model.exceptions import InvalidDocumentException

import broken
import cloudformation
import collector_rules
import task_rules
import template_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]


def complaints_about_template(template):
    """Returns the complaints about the template by check."""
    found = {"cfn_lint_of_the_template_as_written": cloudformation.lint(template), "expansion": []}
    try:
        expanded = cloudformation.expand(template)
    except InvalidDocumentException as mistake:
        return found | {"expansion": [cause.message for cause in mistake.causes]}
    found["cfn_lint_of_the_expanded_template"] = cloudformation.lint(expanded)
    return found | by_rule(template_rules, expanded)


def by_rule(rules, document):
    """Returns the complaints about the document by rule."""
    return {rule.__name__: rule(document) for rule in rules.RULES}


SUBJECTS = [
    ("template.yaml", cloudformation.read, complaints_about_template, broken.IN_TEMPLATE),
    (
        "infra/ecs/task-definition.json",
        lambda path: json.loads(path.read_text()),
        lambda task: by_rule(task_rules, task),
        broken.IN_TASK,
    ),
    (
        "infra/collector/config.yaml",
        lambda path: yaml.safe_load(path.read_text()),
        lambda config: by_rule(collector_rules, config),
        broken.IN_COLLECTOR,
    ),
]


def report(title, complaints):
    """Prints a line for a check and its complaints, and returns true if there are none."""
    print(f"{'FAILED' if complaints else 'ok':6} {title}")
    for complaint in complaints:
        print(f"       - {complaint}")
    return not complaints


def undetected(mistake, document, check):
    """Returns a complaint if the expected check does not detect the mistake."""
    found = check(mistake.made_in(document))
    others = sorted(name for name in found if found[name])
    return [] if found.get(mistake.detected_by) else [f"{mistake.detected_by} did not detect it; these did: {others}"]


def results():
    """Yields the outcome of every check."""
    for name, read, check, mistakes in SUBJECTS:
        document = read(ROOT / name)
        found = check(document)
        for rule, complaints in found.items():
            yield report(f"{name}: {rule}", complaints)
        for mistake in mistakes:
            yield report(f"{name}: detects {mistake}", undetected(mistake, document, check))
        unproven = sorted(set(found) - {mistake.detected_by for mistake in mistakes})
        yield report(f"{name}: every check can fail", [f"no mistake for {rule}" for rule in unproven])


def main():
    outcomes = list(results())
    print(f"\n{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
