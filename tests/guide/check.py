"""Checks the guide's pages and the book that was built from them. Started by `run.sh`.

    check.py BOOK
"""

import difflib
import functools
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import checklist

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if page.name != "SUMMARY.md")
# Pages outside the book, whose links are checked too.
OTHER_PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
MAX_COLUMNS = 100


class Page(HTMLParser):
    """The ids and the links of an HTML page."""

    def __init__(self, html):
        super().__init__()
        self.ids = set()
        self.links = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.update(filter(None, [attributes.get("id"), attributes.get("name") if tag == "a" else None]))
        self.links += filter(None, [attributes.get("href"), attributes.get("src")])


def broken_links(files):
    """Returns the links between HTML files, given by path, whose file or id does not exist."""
    pages = {path: Page(html) for path, html in files.items() if path.suffix == ".html"}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            if target not in files and not target.is_file():
                broken.append(f"{path.name}: {link}")
            elif fragment and target in pages and fragment not in pages[target].ids:
                broken.append(f"{path.name}: {link}")
    return broken


def without_code(text):
    """Removes code blocks and the text of inline code."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`", "`", text)


def broken_paths(page):
    """Returns the relative links of a Markdown file whose target does not exist in the repository."""
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))
    paths = [link.split("#")[0] for link in links if not urlsplit(link).scheme]
    return [path for path in paths if path and not (page.parent / path).exists()]


def long_lines(page):
    """Returns the numbers of the lines that are too long and could be wrapped."""
    lines = enumerate(page.read_text().splitlines(), 1)
    return [number for number, line in lines if len(line) > MAX_COLUMNS and not line.startswith("|")]


def empty_cells(page, heading):
    """Returns the rows with an empty cell of the table in the section with this heading."""
    section = page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, f"{page.name} has no table in {heading!r}"
    return [row for row in rows if not all(cell.strip() for cell in row.strip("|").split("|"))]


def wrong_line_counts(page):
    """Returns the files whose number of lines differs from the one that the page states."""
    stated = re.findall(r"\| `([^`]+\.rs)` \| (\d+) \|", page.read_text())
    assert stated, f"{page.name} states no number of lines"
    return [path for path, lines in stated if len((ROOT / path).read_text().splitlines()) != int(lines)]


def costs(*options):
    """Runs costs.py with these options."""
    command = [sys.executable, ROOT / "infra/costs.py", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def tables(text):
    """Returns the tables of a Markdown text, except those in code blocks."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^\|.*\n(?:\|.*\n)+", text, flags=re.MULTILINE)


def differences(found, wanted):
    """Returns the lines that are in only one of two lists of tables."""
    lines = difflib.ndiff("".join(found).splitlines(), "".join(wanted).splitlines())
    return [line for line in lines if line.startswith(("- ", "+ "))]


def missing_totals(page):
    """Returns the bold totals of the tables, rounded to cents, that the page's introduction does not state."""
    introduction = page.split("\n## ")[0]
    totals = [f"{float(total):.2f} USD" for total in re.findall(r"\*\*([\d.]+)\*\*", "".join(tables(page)))]
    assert totals, "costs.md has no totals"
    return [total for total in totals if total not in introduction]


def defaults_of_costs():
    """Returns the parameters of the template whose defaults differ from those of costs.py."""
    help_text = " ".join(costs("--help").stdout.split())
    template = (ROOT / "template.yaml").read_text()
    options = {
        "BatchSize": "--batch-size",
        "FunctionMemory": "--memory",
        "LogRetention": "--retention-days",
        "MinimumTasks": "--tasks",
    }
    different = []
    for parameter, option in options.items():
        default = re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (.*)", template, flags=re.MULTILINE)[1]
        if not re.search(rf" {option} [A-Z]+ [^\[]*\[default: {default}\]", help_text):
            different.append(parameter)
    return different


def alarms_of_costs():
    """Returns the numbers of alarms in the table of a month, for the function and for the producer."""
    return re.findall(r"^\| Alarms \| (\d+) \|", costs("--table", "month").stdout, flags=re.MULTILINE)


def alarms_of_template():
    """Returns the number of alarms that always exist, and the number of those that only a producer has."""
    template = (ROOT / "template.yaml").read_text()
    conditions = re.findall(r"^    Type: AWS::CloudWatch::Alarm\n(?:    Condition: (\w+)\n)?", template, flags=re.MULTILINE)
    return [str(conditions.count("")), str(conditions.count("HasProducer"))]


# Inline code in operate.md that is not in the source, and the reasons.
NOT_IN_SOURCE = {
    "Exporting failed": "a message of the collector; tests/collector checks that it is logged",
    "calls_total": "the name in Coralogix of the metric calls",
    "collector_instance_id": "the name in Prometheus of collector.instance.id",
    "docker compose -f infra/compose.yaml ps": "a command",
    "duration_ms_bucket": "the name in Coralogix of the metric duration",
    "ingress.ingress.eu2.coralogix.com": "an example of a mistake",
    "yet-another-cloudwatch-exporter": "a program",
    "{service_name=\"onboarding-lambda\"}": "a query of Loki",
    **dict.fromkeys(("process …", "put …", "send …", "PutItem …"), "the beginning of a span's name, which other suites check"),
}


# Inline code in kubernetes.md and delivery.md that is not in the source, and the reasons.
NOT_IN_SOURCE_OF_OTHERS = {
    "k8s.*": "attributes, which other suites check",
    "PrometheusRule": "a resource of the Prometheus Operator",
    "data-tempo-0": "the claim of the first pod of Tempo",
    "enableOTLPReceiver: true": "a setting of the Prometheus Operator",
    "enableRemoteWriteReceiver: true": "a setting of the Prometheus Operator",
    "kubelet_volume_stats_used_bytes": "a metric of the kubelet",
    "prometheusSpec": "a value of the chart kube-prometheus-stack",
    "eks:DescribeCluster": "an action of IAM",
    "v1.2.0": "an example of a tag",
}
# Inline code that is a command.
COMMAND = re.compile(r"(kubectl|curl|aws|gh|sha256sum) ")


def unknown_names(text, exceptions):
    """Returns inline code that is not in the source: names, paths, and messages that the services log."""
    code = {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))}
    return sorted(name for name in code - set(exceptions) if not is_known(name) and not COMMAND.match(name))


def unneeded(exceptions, page):
    """Returns the exceptions that the page does not contain."""
    return [name for name in exceptions if f"`{name}`" not in " ".join(page.split())]


def is_known(name):
    if re.fullmatch(r"[a-z' ]+ [a-z]+", name):
        # A message is the beginning of a string in a program, and not only in a comment or a test.
        return any(f'"{name}' in text for path, text in sources().items() if path.endswith(".rs"))
    whole = re.compile(rf"(?<!\w){re.escape(name.partition('=')[0])}(?!\w)")
    return (ROOT / name).exists() or any(whole.search(text) for text in sources().values())


@functools.cache
def sources():
    """Returns the texts of the repository's files by path, except pages, tests and programs that measure."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True, timeout=60).stdout
    excluded = re.compile(r"\.md$|^(bench|fuzz)/|(^|/)tests(/|\.rs$)")
    paths = [path for path in listed.split("\0") if path and not excluded.search(path) and (ROOT / path).is_file()]
    return {path: (ROOT / path).read_text(errors="replace") for path in paths}


class Checks:
    """Counts the checks and prints each in one line."""

    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, title, found, expected):
        if found == expected:
            self.passed += 1
            print(f"ok     {title}")
        else:
            self.failed += 1
            print(f"FAILED {title}: expected {expected}, found {found}")


def check_that_links_are_checked(checks):
    folder = Path("/book")
    files = {
        folder / "a.html": '<h2 id="one"></h2><a href="b.html#two">b</a><a href="#one">a</a>',
        folder / "b.html": '<h2 id="two"></h2><a href="c.html">c</a><a href="a.html#none">a</a>',
    }
    checks.equal("broken links are found", broken_links(files), ["b.html: c.html", "b.html: a.html#none"])


def check_the_checklist(checks, page):
    mistakes = page.replace("\n| 7 |", "\n| 8 |", 1).replace("| 72 | Coralogix Operator | no |", "| 72 | Coralogix Operator | done |", 1)
    checks.equal("repeated rows of a checklist are found", checklist.wrong_numbers(mistakes), [7])
    checks.equal("rows without a proof are found", checklist.wrong_rows(mistakes), ["72"])
    checks.equal("wrong totals of a checklist are found", list(checklist.wrong_totals(mistakes)), ["done", "no"])
    checks.equal("checklist.md has each row once", checklist.wrong_numbers(page), [])
    checks.equal("rows of checklist.md have a state, and a proof or a reason", checklist.wrong_rows(page), [])
    checks.equal("totals of checklist.md are right", checklist.wrong_totals(page), {})
    checks.equal("names and paths in checklist.md exist", unknown_names(page, checklist.NOT_IN_SOURCE), [])
    checks.equal("exceptions for checklist.md are needed", unneeded(checklist.NOT_IN_SOURCE, page), [])


def main():
    book = Path(sys.argv[1]).resolve()
    checks = Checks()
    check_that_links_are_checked(checks)
    files = {path: path.read_text() for path in book.rglob("*.html")}
    checks.equal("all links of the book have a target", broken_links(files), [])
    summary = (DOCS / "SUMMARY.md").read_text()
    tested = (ROOT / "examples/guide.rs").read_text()
    for page in PAGES:
        checks.equal(f"SUMMARY.md lists {page.name} once", summary.count(f"({page.name})"), 1)
        checks.equal(f"the Rust blocks of {page.name} are tested", f"docs/{page.name}" in tested, True)
        checks.equal(f"{page.name} is wrapped", long_lines(page), [])
    for page in [*PAGES, *OTHER_PAGES]:
        checks.equal(f"links of {page.name} exist in the repository", broken_paths(page), [])
    compared = empty_cells(DOCS / "errors-and-retries.md", "Compared with Powertools for AWS Lambda (Python)")
    checks.equal("the comparison with Powertools has no empty cell", compared, [])
    page = (DOCS / "costs.md").read_text()
    checks.equal("the tables of costs.md are those of costs.py", differences(tables(page), tables(costs().stdout)), [])
    checks.equal("costs.md states the totals of its tables", missing_totals(page), [])
    checks.equal("the costs are those of the template's defaults", defaults_of_costs(), [])
    checks.equal("the costs include all alarms of the template", alarms_of_costs(), alarms_of_template())
    refused = costs("--memory", "64")
    message = "argument --memory: expected an integer from 128 to 10,240, found '64'"
    checks.equal("costs.py refuses invalid values", (refused.returncode, message in refused.stderr), (2, True))
    operate = (DOCS / "operate.md").read_text()
    mistakes = unknown_names("`customers onboarded` `customer onboarded` `LogLevel=WARN` `LogLeve` `NO_SUCH_VARIABLE=1`", NOT_IN_SOURCE)
    checks.equal("unknown names are found", mistakes, ["LogLeve", "NO_SUCH_VARIABLE=1", "customers onboarded"])
    checks.equal("names and messages in operate.md exist", unknown_names(operate, NOT_IN_SOURCE), [])
    checks.equal("exceptions for operate.md are needed", unneeded(NOT_IN_SOURCE, operate), [])
    others = "".join((DOCS / name).read_text() for name in ("kubernetes.md", "delivery.md"))
    checks.equal("names and paths in kubernetes.md and delivery.md exist", unknown_names(others, NOT_IN_SOURCE_OF_OTHERS), [])
    checks.equal("exceptions for these pages are needed", unneeded(NOT_IN_SOURCE_OF_OTHERS, others), [])
    check_the_checklist(checks, (DOCS / "checklist.md").read_text())
    checks.equal("stated numbers of lines", wrong_line_counts(DOCS / "from-lambda-runtime.md"), [])
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(checks.failed != 0)


main()
