"""Runs every linter over the repository, and over a copy that contains a mistake. Started by run.sh.

check.py ROOT
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from linters import LINTERS

GO = ("gofmt", "go vet")


def listed(root):
    """Returns the files of the repository, including those that are not committed."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if (root / name).is_file()})


def report(title, complaint):
    """Prints the outcome of a check, and returns whether it passed."""
    print(f"FAILED {title}: {complaint}" if complaint else f"ok     {title}", flush=True)
    return not complaint


def finds_nothing(linter, root, files):
    """Runs a linter over the files, and returns its report if there is a finding."""
    code, output = linter.lint(root, files)
    return f"exit code {code}\n{output[-6000:]}" if code else ""


def misses(linter, copy, files):
    """Runs a linter over the copy with a mistake, and returns a complaint if it does not report the mistake."""
    mistake, file = linter.mistake, copy / linter.mistake.file
    before = file.read_text()
    if mistake.text not in before:
        return f"{mistake.file} does not contain {mistake.text!r}"
    file.write_text(before.replace(mistake.text, mistake.replacement, 1))
    try:
        code, output = linter.lint(copy, files)
    finally:
        file.write_text(before)
    return "" if code and mistake.reported in output else f"exit code {code}, expected a failure that contains {mistake.reported!r}\n{output[-2000:]}"


def main(root):
    root = pathlib.Path(root)
    files = listed(root)
    chosen = [linter for linter in LINTERS if linter.name not in GO or shutil.which("go")]
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in files:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy / name)
        for linter in chosen:
            # In the copy, because a linter could write files next to those that it reads.
            outcomes.append(report(linter.name, finds_nothing(linter, copy, files)))
            outcomes.append(report(f"{linter.name} reports {linter.mistake.replacement.strip()!r}", misses(linter, copy, files)))
    skipped = len(LINTERS) - len(chosen)
    if skipped:
        print("gofmt and go vet are skipped: Go is not installed")
    print(f"{sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
