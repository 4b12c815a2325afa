"""Checks the deployment files, and proves with broken copies that each check can fail. Started by `run.sh`."""

import functools
import json
import pathlib
import re
import sys

import yaml
from samtranslator.model.exceptions import InvalidDocumentException

import broken
import cloudformation
import collector_rules
import ecs
import task_rules
import template_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
TASK = ROOT / "infra/ecs/task-definition.json"
COLLECTOR = ROOT / "infra/collector"

# Parameters of the deployments for which the rules are checked. Each function timeout has a
# different visibility timeout.
DEPLOYMENTS = [
    {},
    cloudformation.EVERYTHING,
    {**cloudformation.EVERYTHING, "OtlpEndpoint": "", "OtlpHeadersSecretArn": "", "CertificateArn": "", "PermanentFailures": "retry"},
    {**cloudformation.EVERYTHING, "OtlpEndpoint": "", "CoralogixDomain": "eu2.coralogix.com"},
    {**cloudformation.EVERYTHING, "OtlpEndpoint": "", "CoralogixDomain": "eu2.coralogix.com", "FunctionOtlpEndpoint": "https://otlp.example.com"},
    *({"FunctionTimeout": seconds, "BatchingWindow": 60, "MessageRetention": 1209599} for seconds in (10, 15, 30, 60, 120, 300, 600, 900)),
]


def expansion(template):
    """The template can be expanded."""
    try:
        cloudformation.expand(template)
    except InvalidDocumentException as mistake:
        return [cause.message for cause in mistake.causes]
    return []


def every_timeout_is_checked(template):
    """`DEPLOYMENTS` contains every timeout that the template allows."""
    checked = {deployment.get("FunctionTimeout") for deployment in DEPLOYMENTS}
    return [f"no deployment has a timeout of {seconds} s" for seconds in template["Parameters"]["FunctionTimeout"]["AllowedValues"] if seconds not in checked]


def domain_of_coralogix_is_checked(template):
    """Domains are accepted, but not with the prefix `ingress.`, which the template adds."""
    return complaint_about_pattern(template, "CoralogixDomain", VALID_DOMAINS, INVALID_DOMAINS)


def endpoint_is_checked(template):
    """URLs are accepted, but not that of Coralogix, whose span metrics and deltas differ."""
    return complaint_about_pattern(template, "OtlpEndpoint", ENDPOINTS, OTHER_ENDPOINTS)


def complaint_about_pattern(template, parameter, valid, invalid):
    pattern = template["Parameters"][parameter]["AllowedPattern"]
    accepted = [text for text in (*valid, *invalid) if re.fullmatch(pattern, text)]
    return [] if accepted == valid else [f"the pattern accepts {accepted}, expected {valid}"]


ENDPOINTS = ["", "https://otlp.example.com", "http://10.0.0.1:4318/otlp"]
OTHER_ENDPOINTS = ["otlp.example.com", "https://ingress.eu1.coralogix.com:443"]
VALID_DOMAINS = ["", "coralogix.com", "eu2.coralogix.com", "ap1.coralogix.com"]
INVALID_DOMAINS = ["ingress.eu2.coralogix.com", "https://eu2.coralogix.com", "eu2.coralogix.com:443", "eu2"]


def in_every_deployment(rule, template):
    """Returns the complaints of a rule about the template, each once."""
    expanded = cloudformation.expand(template)
    complaints = (rule(cloudformation.resolve(expanded, parameters)) for parameters in DEPLOYMENTS)
    return list(dict.fromkeys(complaint for found in complaints for complaint in found))


def template_checks():
    """Returns the checks of the template by name."""
    return {
        "cfn_lint_of_the_template_as_written": cloudformation.lint,
        "expansion": expansion,
        "cfn_lint_of_the_expanded_template": lambda template: cloudformation.lint_expanded(cloudformation.expand(template)),
        "every_timeout_is_checked": every_timeout_is_checked,
        "domain_of_coralogix_is_checked": domain_of_coralogix_is_checked,
        "endpoint_is_checked": endpoint_is_checked,
    } | {rule.__name__: functools.partial(in_every_deployment, rule) for rule in template_rules.RULES}


def same_as_in_the_template(task):
    """The file defines the same task as the template, with example values."""
    wanted = ecs.task_of_template(cloudformation.expand(cloudformation.read(TEMPLATE)))
    return list(differences("", wanted, task))


def differences(place, wanted, found):
    """Yields the differences between two documents, each with its place."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(set(wanted) | set(found)):
            yield from differences(f"{place}.{key}", wanted.get(key), found.get(key))
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (left, right) in enumerate(zip(wanted, found)):
            yield from differences(f"{place}[{index}]", left, right)
    elif wanted != found:
        yield f"{place.lstrip('.')} is {json.dumps(found)}, in the template {json.dumps(wanted)}"


def checks_by_name(rules):
    """Returns the rules of a module by name."""
    return {rule.__name__: rule for rule in rules.RULES}


SUBJECTS = [
    ("template.yaml", cloudformation.read(TEMPLATE), template_checks(), broken.IN_TEMPLATE),
    (
        "infra/ecs/task-definition.json",
        json.loads(TASK.read_text()),
        checks_by_name(task_rules) | {"same_as_in_the_template": same_as_in_the_template},
        broken.IN_TASK,
    ),
    (
        "infra/collector",
        {str(path.relative_to(COLLECTOR).with_suffix("")): yaml.safe_load(path.read_text()) for path in sorted(COLLECTOR.rglob("*.yaml"))},
        checks_by_name(collector_rules),
        broken.IN_COLLECTOR,
    ),
]


def report(title, complaints):
    """Prints a line for a check and its complaints, and returns true if there are none."""
    print(f"{'FAILED' if complaints else 'ok':6} {title}")
    for complaint in complaints:
        print(f"       - {complaint}")
    return not complaints


def undetected(mistake, document, checks):
    """Returns a complaint if the expected check does not detect the mistake."""
    check = checks.get(mistake.detected_by)
    if check is None:
        return [f"there is no check {mistake.detected_by}"]
    return [] if check(mistake.made_in(document)) else [f"{mistake.detected_by} did not detect it"]


def results():
    """Yields the outcome of every check."""
    for name, document, checks, mistakes in SUBJECTS:
        for rule, check in checks.items():
            yield report(f"{name}: {rule}", check(document))
        for mistake in mistakes:
            yield report(f"{name}: detects {mistake}", undetected(mistake, document, checks))
        unproven = sorted(set(checks) - {mistake.detected_by for mistake in mistakes})
        yield report(f"{name}: every check can fail", [f"no mistake for {rule}" for rule in unproven])


def main():
    outcomes = list(results())
    print(f"\n{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
