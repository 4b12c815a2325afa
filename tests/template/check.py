"""Checks what is deployed, then proves on broken copies that each check can fail. Run by `run.sh`."""

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
    """Each check's name with its complaints about the template."""
    found = {"cfn_lint_of_the_template_as_written": cloudformation.lint(template), "expansion": []}
    try:
        expanded = cloudformation.expand(template)
    except InvalidDocumentException as mistake:
        return found | {"expansion": [cause.message for cause in mistake.causes]}
    found["cfn_lint_of_the_expanded_template"] = cloudformation.lint(expanded)
    return found | by_rule(template_rules, expanded)


def by_rule(rules, document):
    """Each rule's name with its complaints about the document."""
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
    """One line for a check, and its complaints below it; true when there are none."""
    print(f"{'FAILED' if complaints else 'ok':6} {title}")
    for complaint in complaints:
        print(f"       - {complaint}")
    return not complaints


def unnoticed(mistake, document, check):
    """Empty when the check that has to notice the mistake does."""
    found = check(mistake.made_in(document))
    others = sorted(name for name in found if found[name])
    return [] if found.get(mistake.noticed_by) else [f"{mistake.noticed_by} did not notice; these did: {others}"]


def results():
    """Every check's outcome."""
    for name, read, check, mistakes in SUBJECTS:
        document = read(ROOT / name)
        found = check(document)
        for rule, complaints in found.items():
            yield report(f"{name}: {rule}", complaints)
        for mistake in mistakes:
            yield report(f"{name}: broken on purpose: {mistake}", unnoticed(mistake, document, check))
        unproven = sorted(set(found) - {mistake.noticed_by for mistake in mistakes})
        yield report(f"{name}: every check is proven to fail", [f"no mistake for {rule}" for rule in unproven])


def main():
    outcomes = list(results())
    print(f"\n{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
