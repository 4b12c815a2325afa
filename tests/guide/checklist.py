"""Checks of docs/checklist.md: its rows, its totals, and the files and names in it."""

import re
from collections import Counter

ROWS = 121
STATES = ("done", "unproven", "replaced", "no")
# Inline code that is not in the repository's files, and the reasons.
NOT_IN_SOURCE = {
    "SERVICE_NAME": "a variable that is not read",
    "SERVICE_NAMESPACE": "a variable that is not read",
    "APP_VERSION": "a variable that is not read",
    "OTEL_ENABLED": "a variable that is not read",
    "ENVIRONMENT": "a variable that is not read",
    "db.statement": "an attribute that is not set",
    "duration_ms_bucket": "the name in Coralogix of the metric duration",
    "calls_total": "the name in Coralogix of the metric calls",
    "name=observability": "a label, which is written with a colon in the manifests",
    "send QUEUE": "the beginning of a span's name, which other suites check",
    **dict.fromkeys(("baton demo", "baton load", "baton load --serve", "baton load --url", "baton up"), "a command"),
    **dict.fromkeys(("cloud.*", "faas.*", "k8s.*", "messaging.*"), "attributes, which other suites check"),
}


def rows(page):
    """Returns the rows of the tables as lists of cells, except the heads and the table of the states."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    return [row for row in cells if row[0].isdigit()]


def wrong_numbers(page):
    """Returns the numbers of rows that are missing, repeated or out of order."""
    numbers = [int(row[0]) for row in rows(page)]
    expected = list(range(1, ROWS + 1))
    return [] if numbers == expected else sorted(set(expected) ^ set(numbers)) or numbers


def wrong_rows(page):
    """Returns the rows with an unknown state, an empty cell, or without a proof or a reason."""
    return [row[0] for row in rows(page) if len(row) != 4 or not all(row) or not is_answered(row)]


def is_answered(row):
    _, _, state, answer = row
    if state == "done":
        return bool(re.search(r"`tests/|/tests[/`]|tests are", answer))
    if state == "unproven":
        return bool(re.search(r"\b(not|never|no|nothing|only)\b", answer, flags=re.IGNORECASE))
    return state in STATES


def wrong_totals(page):
    """Returns the states whose total in the first table differs from the number of rows, with both."""
    stated = dict(re.findall(rf"^\| ({'|'.join(STATES)}) \| .* \| (\d+) \|$", page, flags=re.MULTILINE))
    counted = Counter(row[2] for row in rows(page))
    return {state: (stated.get(state), counted[state]) for state in STATES if stated.get(state) != str(counted[state])}
