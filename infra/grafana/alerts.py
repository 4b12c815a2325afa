#!/usr/bin/env python3
"""Writes the alerts of infra/prometheus/rules for Grafana. Needs the packages in requirements.txt.

In a rule for Prometheus, the expression compares its value with the limit, so each series that it returns is an alert.
Grafana also needs a condition, which is true for each value.
"""

import pathlib
import re

import yaml

FOLDER = pathlib.Path(__file__).resolve().parent
RULES = FOLDER.parent / "prometheus/rules/baton.yaml"
ALERTS = FOLDER / "provisioning/alerting/alerts.yaml"

HEADER = "# Written by infra/grafana/alerts.py from infra/prometheus/rules/baton.yaml.\n\n"

# Time between two evaluations of a rule.
INTERVAL = "30s"


class Blocks(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


Blocks.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None))


def uid(name):
    """Returns the id of an alert: baton-dead-letters for DeadLetters."""
    return "baton" + re.sub("[A-Z]", lambda found: "-" + found[0].lower(), name)


def escaped(text):
    """Doubles dollar signs, because Grafana expands variables in the file."""
    return text.replace("$", "$$")


def rule(alert):
    """Returns an alert as a rule of Grafana. In its templates, the value is that of query A."""
    query = {"refId": "A", "instant": True, "expr": escaped(alert["expr"])}
    condition = {"refId": "B", "type": "math", "expression": escaped("is_number($A)")}
    return {
        "uid": uid(alert["alert"]),
        "title": alert["alert"],
        "condition": "B",
        "for": alert.get("for", "0s"),
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": alert["labels"],
        "annotations": {name: escaped(text.replace("$value", "$values.A.Value")) for name, text in alert["annotations"].items()},
        "data": [
            {"refId": "A", "datasourceUid": "prometheus", "relativeTimeRange": {"from": 600, "to": 0}, "model": query},
            {"refId": "B", "datasourceUid": "__expr__", "model": condition},
        ],
    }


def main():
    groups = [
        {"orgId": 1, "name": group["name"], "folder": "Baton", "interval": INTERVAL, "rules": [rule(alert) for alert in group["rules"]]}
        for group in yaml.safe_load(RULES.read_text())["groups"]
    ]
    content = yaml.dump({"apiVersion": 1, "groups": groups}, Dumper=Blocks, sort_keys=False, width=1000, allow_unicode=True)
    ALERTS.write_text(HEADER + content)


if __name__ == "__main__":
    main()
