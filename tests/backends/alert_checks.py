"""The alerts: those of Grafana are those of Prometheus, and they are raised when they must be, and not otherwise."""

import re

from bench import same, until
from failures import cause_failures
from files import needing

CHECKS = []

# Alerts that the failures in failures.py raise. The others need minutes, and have tests in rules.yaml.
RAISED = {"SpansSpilled", "CircuitBreakerOpen", "DeadLetters"}

# Names of the services' and the collector's metrics, as opposed to those of their labels.
METRIC = re.compile(r"\b(?:baton|messaging|traces|otelcol)_\w+_(?:total|bucket|size|capacity|open)\b")


def rules_of_prometheus(files):
    """Returns the rules of infra/prometheus by the names of their alerts."""
    [path] = (files.infra / "prometheus/rules").glob("*.yaml")
    return {rule["alert"]: rule for group in files.read("yaml", path)["groups"] for rule in group["rules"]}


@needing()
def healthy(stack):
    """no alert is raised while everything works"""
    names = set(rules_of_prometheus(stack.files))
    until(lambda: names <= set(stack.prometheus.rules()), lambda: f"not evaluated: {names - set(stack.prometheus.rules())}")
    missing = {("ProgramDown", name) for name in ("loki", "tempo") if not getattr(stack.programs, name)}
    raised = lambda: {(alert["labels"]["alertname"], alert["labels"].get("job")) for alert in stack.prometheus.alerts()} - missing
    # Until the first spans arrive, NothingReceived is pending.
    until(lambda: not raised(), lambda: f"raised are {raised()}")
    broken = {name: rule["lastError"] for name, rule in stack.prometheus.rules().items() if rule["health"] == "err"}
    same(broken, {}, "errors of rules")


@needing()
def failing(stack):
    """failures of each kind raise their alerts"""
    cause_failures(stack)
    raised = lambda: {alert["labels"]["alertname"] for alert in stack.prometheus.alerts() if alert["state"] == "firing"}
    until(lambda: RAISED <= raised(), lambda: f"raised are {raised()}, expected {RAISED}")


@needing()
def metrics(stack):
    """each metric that an alert reads exists, except those of Kubernetes and of exporters that fail"""
    for name, rule in rules_of_prometheus(stack.files).items():
        for metric in set(METRIC.findall(rule["expr"])):
            expression = f"last_over_time({metric}[1h])"
            until(lambda expression=expression: stack.prometheus.query(expression), f"{name}: there is no {metric}")
