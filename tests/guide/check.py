"""Checks the guide's pages and the book that was built from them. Started by `run.sh`.

    check.py BOOK
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

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
    checks.equal("stated numbers of lines", wrong_line_counts(DOCS / "from-lambda-runtime.md"), [])
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(checks.failed != 0)


main()
