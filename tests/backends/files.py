"""The files of the stack, as the programs read them, and registration of checks."""

import json
import pathlib
import subprocess

LIMIT_SECONDS = 60


class Files:
    """Reads files of the repository with the parsers of their programs."""

    def __init__(self, root, work, folder):
        self.root = root
        self.infra = root / "infra"
        self.work = work
        self.folder = folder

    def read(self, file_format, path):
        """Parses a file. `file_format` is `compose`, `alloy` or `yaml`."""
        return json.loads(output(self.work / "formats", file_format, path))

    def promtool(self, *arguments):
        return output(self.work / "promtool", *arguments)

    def read_text(self, file_format, text):
        """Parses a text as if it were the content of a file."""
        path = self.folder / "text"
        path.write_text(text)
        return self.read(file_format, path)

    def compose(self, **variables):
        """Returns the project of the Compose file with these variables."""
        assignments = [f"{name}={value}" for name, value in variables.items()]
        return json.loads(output(self.work / "formats", "compose", self.infra / "compose.yaml", *assignments))

    def provisioned(self, kind):
        """Returns the content of the files that provision Grafana, for `datasources`, `dashboards` or `alerting`."""
        paths = sorted((self.infra / "grafana/provisioning" / kind).glob("*.yaml"))
        assert paths, f"infra/grafana/provisioning/{kind} has no files"
        return [expanded(self.read("yaml", path)) for path in paths]

    def data_sources(self):
        """Returns the provisioned data sources by their ids."""
        return {source["uid"]: source for file in self.provisioned("datasources") for source in file["datasources"]}

    def names(self):
        """Returns the files of the repository, including those that are not committed."""
        command = ["git", "-C", self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS).stdout
        return [name for name in listed.split("\0") if (self.root / name).is_file()]

    def holds(self, path):
        """Returns whether a path is a file or a folder of the repository."""
        name = str(pathlib.Path(path).relative_to(self.root))
        return any(found == name or found.startswith(f"{name}/") for found in self.names())


def boards(files):
    """Returns the dashboards by the names of their files."""
    folder = files.infra / "grafana/dashboards"
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def label_of(variable):
    """Returns the metric and the label from which a variable of a dashboard has its values."""
    return variable["query"].removeprefix("label_values(").removesuffix(")").split(", ")


def output(*command):
    """Runs a command and returns its output; an error of the command becomes a `ValueError`."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if done.returncode:
        raise ValueError((done.stdout + done.stderr).strip())
    return done.stdout


def expanded(value):
    """Returns a value as Grafana's provisioning reads it. It expands variables, and $$ to a dollar sign."""
    if isinstance(value, dict):
        return {key: expanded(member) for key, member in value.items()}
    if isinstance(value, list):
        return [expanded(member) for member in value]
    if not isinstance(value, str):
        return value
    parts = value.split("$$")
    assert not any("$" in part for part in parts), f"Grafana would expand a variable in {value!r}: write $$ for a dollar sign"
    return "$".join(parts)


def needing(*programs):
    """Registers a check in `CHECKS` of its module; it is skipped if one of the programs is missing."""

    def register(function):
        function.needs = programs
        function.__globals__["CHECKS"].append(function)
        return function

    return register
