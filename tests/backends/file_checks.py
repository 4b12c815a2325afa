"""The files alone: the Compose file, the configurations of Prometheus and Alloy, and the files that provision Grafana."""

import copy
import pathlib
import re
import shutil
import subprocess
import sys

import alloy
from bench import same
from files import needing

CHECKS = []

# An image with a version of at least two numbers.
PINNED = re.compile(r"[\w./-]+:v?\d+(\.\d+)+$")


@needing()
def compose_file(files):
    """the Compose file is valid, and a copy with a mistake is not"""
    project = files.compose()
    same(sorted(project["services"]), ["collector", "grafana", "local-stack", "loki", "onboarding-api", "prometheus", "tempo"], "services")
    text = (files.infra / "compose.yaml").read_text()
    for original, mistake in (
        ("    mem_limit: 256m", "    mem_limits: 256m"),
        ("service:local-stack", "service:stack"),
        ("- loki:/loki", "- loky:/loki"),
    ):
        assert original in text, original
        try:
            files.read_text("compose", text.replace(original, mistake, 1))
        except ValueError:
            continue
        raise AssertionError(f"{mistake.strip()!r} was accepted")


@needing()
def compose_rules(files):
    """each service keeps the rules for images, ports, memory, mounted files and health checks"""
    project = files.compose()
    same(complaints(files, project), [], "complaints")
    broken = [
        ("image", lambda services: services["loki"].update(image="grafana/loki:latest")),
        ("image", lambda services: services["tempo"].update(image="grafana/tempo")),
        ("port", lambda services: services["grafana"]["ports"][0].update(host_ip="0.0.0.0")),
        ("port", lambda services: services["grafana"]["ports"][0].pop("host_ip")),
        ("memory", lambda services: services["prometheus"].pop("mem_limit")),
        ("path", lambda services: services["loki"]["volumes"][0].update(source=str(files.infra / "lokki"))),
        ("path", lambda services: services["local-stack"]["build"].update(dockerfile="infra/docker/stack.Dockerfile")),
        ("file", lambda services: services["prometheus"]["command"].__setitem__(0, "--config.file=/etc/prometheus/prometheus.yml")),
        ("health", lambda services: services["tempo"].pop("healthcheck")),
    ]
    for expected, change in broken:
        changed = copy.deepcopy(project)
        change(changed["services"])
        same([complaint.split(":")[0] for complaint in complaints(files, changed)][:1], [expected], "complaints about a mistake")


# The variables for ports, in the order of the published ports.
PORTS = {
    "API_PORT": 8080,
    "OTLP_GRPC_PORT": 4317,
    "OTLP_HTTP_PORT": 4318,
    "TEMPO_PORT": 3200,
    "LOKI_PORT": 3100,
    "PROMETHEUS_PORT": 9090,
    "GRAFANA_PORT": 3000,
}


@needing()
def ports(files):
    """each port can be published elsewhere on 127.0.0.1 with a variable, which infra/README.md lists with its default"""
    same(published(files.compose()), {port: str(port) for port in PORTS.values()}, "published ports by default")
    for name, port in PORTS.items():
        project = files.compose(**{name: "12345"})
        same(published(project), {other: str(other) for other in PORTS.values()} | {port: "12345"}, f"published ports with {name}")
        same(complaints(files, project), [], f"complaints with {name}")
    text = (files.infra / "README.md").read_text()
    missing = [name for name, port in PORTS.items() if f"`{name}` ({port})" not in " ".join(text.split())]
    same(missing, [], "variables that infra/README.md does not list")


def published(project):
    """Returns the published ports by those in the containers."""
    return {port["target"]: port["published"] for service in project["services"].values() for port in service.get("ports") or []}


@needing()
def notifications(files):
    """alerts are sent nowhere by default, and with ALERT_WEBHOOK_URL to it"""
    same(notified(files), {"apiVersion": 1, "resetPolicies": [1]}, "notifications by default")
    url = "http://hook.example.com"
    same(complaints(files, files.compose(ALERT_WEBHOOK_URL=url)), [], "complaints")
    sent = notified(files, ALERT_WEBHOOK_URL=url)
    [point], [policy] = sent["contactPoints"], sent["policies"]
    same(policy["receiver"], point["name"], "receiver of the policy")
    [receiver] = point["receivers"]
    same((receiver["type"], receiver["settings"]), ("webhook", {"url": "$ALERT_WEBHOOK_URL"}), "receiver")
    same(files.compose(ALERT_WEBHOOK_URL=url)["services"]["grafana"]["environment"]["ALERT_WEBHOOK_URL"], url, "variable of Grafana")


def notified(files, **variables):
    """Returns the file that is mounted over provisioning/alerting/notifications.yaml."""
    target = "/etc/grafana/provisioning/alerting/notifications.yaml"
    # Docker cannot create a file in the folder, which is mounted for reading only.
    assert (files.infra / "grafana/provisioning/alerting/notifications.yaml").is_file()
    volumes = files.compose(**variables)["services"]["grafana"]["volumes"]
    [source] = [volume["source"] for volume in volumes if volume["target"] == target]
    return files.read("yaml", source)


def complaints(files, project):
    """Returns the violations of these rules in a project."""
    found = []
    for name, service in project["services"].items():
        if "build" in service:
            paths = [pathlib.Path(service["build"]["context"], service["build"]["dockerfile"])]
        else:
            paths = []
            if not PINNED.fullmatch(service["image"]):
                found.append(f"image: {name} has {service['image']!r}, expected a version")
        if not int(service.get("mem_limit", 0)):
            found.append(f"memory: {name} has no limit")
        ports = [port for port in service.get("ports", []) if port.get("host_ip") != "127.0.0.1"]
        found += [f"port: {name} publishes {port}, expected 127.0.0.1" for port in ports]
        mounts = [volume for volume in service.get("volumes", []) if volume["type"] == "bind"]
        paths += [pathlib.Path(mount["source"]) for mount in mounts]
        found += [f"path: {name} needs {path}, which is not in the repository" for path in paths if not files.holds(path)]
        found += [f"file: {name} reads {path}, which is not mounted" for path in unmounted(service, mounts)]
        found += [
            f"health: {name} waits for the health of {other}, which has no check"
            for other, needed in service.get("depends_on", {}).items()
            if needed["condition"] == "service_healthy" and "healthcheck" not in project["services"][other]
        ]
    return found


def unmounted(service, mounts):
    """Returns the configuration files that a service's command names and no mount contains."""
    for argument in service.get("command") or []:
        path = pathlib.PurePosixPath(argument.partition("=")[2])
        if not argument.lstrip("-").startswith("config") or not path.is_absolute():
            continue
        folders = {pathlib.PurePosixPath(mount["target"]): pathlib.Path(mount["source"]) for mount in mounts}
        sources = [folder / path.relative_to(target) for target, folder in folders.items() if path.is_relative_to(target)]
        if not any(source.is_file() for source in sources):
            yield path


@needing()
def promtool(files):
    """promtool accepts the configuration of Prometheus and its rules, and no copy with a mistake"""
    path = files.infra / "prometheus/prometheus.yaml"
    files.promtool("check", "config", path)
    original, mistake = "promote_resource_attributes", "promoted_resource_attributes"
    copy_with_mistake = files.folder / "prometheus.yaml"
    copy_with_mistake.write_text(path.read_text().replace(original, mistake))
    try:
        files.promtool("check", "config", copy_with_mistake)
    except ValueError as error:
        assert mistake in str(error), error
        return
    raise AssertionError(f"{mistake} was accepted")


@needing()
def rules(files):
    """promtool accepts the rules, each alert has a test in which it is raised, and a paragraph in docs/operate.md"""
    [path] = (files.infra / "prometheus/rules").glob("*.yaml")
    files.promtool("check", "rules", path)
    tests = pathlib.Path(__file__).parent / "rules.yaml"
    files.promtool("test", "rules", tests)
    alerts = {rule["alert"]: rule for group in files.read("yaml", path)["groups"] for rule in group["rules"]}
    cases = [case for test in files.read("yaml", tests)["tests"] for case in test["alert_rule_test"]]
    same({case["alertname"] for case in cases if case.get("exp_alerts")}, set(alerts), "alerts that a test raises")
    headings = re.findall(r"^### (.*)$", (files.root / "docs/operate.md").read_text(), re.MULTILINE)
    anchors = {f"docs/operate.md#{heading.lower().replace(' ', '-')}" for heading in headings}
    unknown = {name: rule["annotations"]["runbook"] for name, rule in alerts.items() if rule["annotations"]["runbook"] not in anchors}
    same(unknown, {}, "links to paragraphs that do not exist")


@needing()
def written(files):
    """the dashboards and the alerts of Grafana are those that infra/grafana/*.py write"""
    fresh = files.folder / "fresh"
    shutil.copytree(files.infra, fresh, ignore=shutil.ignore_patterns("__pycache__"))
    outputs = [*files.infra.glob("grafana/dashboards/*.json"), files.infra / "grafana/provisioning/alerting/alerts.yaml"]
    assert len(outputs) > 1, outputs
    for path in outputs:
        (fresh / path.relative_to(files.infra)).unlink()
    for script in ("dashboards.py", "alerts.py"):
        subprocess.run([sys.executable, fresh / "grafana" / script], check=True, timeout=60)
    different = [path.name for path in outputs if (fresh / path.relative_to(files.infra)).read_text() != path.read_text()]
    same(different, [], "files that their script writes differently")


# Parts of the configuration of Alloy, a mistake in each, and the complaint about it.
ALLOY_MISTAKES = (
    ("otelcol.processor.batch \"", 'otelcol.processor.batches "', "unknown component otelcol.processor.batches"),
    ("timeout         =", "time_out        =", "unknown argument otelcol.processor.batch time_out"),
    ("batch.services.input", "batch.service.input", "unknown reference otelcol.processor.batch.service.input"),
    ("client_auth {", "client {", "unknown block otelcol.auth.basic client"),
    (
        "sending_queue {",
        "sending_queue {\n\t\tbatch {\n\t\t\tsize = 1\n\t\t}",
        "unknown argument otelcol.exporter.otlphttp sending_queue batch size",
    ),
    ('check_interval         = "1s"', "", "missing argument otelcol.processor.memory_limiter check_interval"),
    ("\tclient {", "\tcookies {", "missing block otelcol.exporter.otlphttp client"),
    (
        'max_elapsed_time = "0s"',
        "max_elapsed_time = 0",
        "otelcol.exporter.otlphttp retry_on_failure max_elapsed_time: expected a duration, found 0",
    ),
    ("http {", "grpc {", "block otelcol.receiver.otlp grpc occurs 2 times"),
)


@needing()
def alloy_file(files):
    """the configuration of Alloy can be parsed, its settings and references exist, and its variables are documented"""
    path = files.infra / "alloy/config.alloy"
    text = path.read_text()
    same(alloy.complaints(files.read("alloy", path)), [], "complaints")
    assert f"Alloy {alloy.VERSION}." in text, f"the file does not name the version {alloy.VERSION}"
    read, documented = set(re.findall(r'sys\.env\("(\w+)"\)', text)), set(re.findall(r"^//   ([A-Z_]+) ", text, re.MULTILINE))
    same(read, documented, "variables that are read, and that are documented")
    for original, mistake, expected in ALLOY_MISTAKES:
        assert original in text, original
        changed = alloy.complaints(files.read_text("alloy", text.replace(original, mistake)))
        assert expected in changed, f"{mistake!r}: expected {expected!r}, found {changed}"
    try:
        files.read_text("alloy", text.replace("client_auth {", "client_auth"))
    except ValueError:
        return
    raise AssertionError("a block without a brace was accepted")


@needing()
def provisioning(files):
    """the provisioning files name services, data sources and folders that exist"""
    services, sources = files.compose()["services"], files.data_sources()
    same(sorted(sources), ["loki", "prometheus", "tempo"], "ids of the data sources")
    for source in sources.values():
        host, port = source["url"].removeprefix("http://").split(":")
        listening = [published["target"] for published in services[host]["ports"]]
        assert int(port) in listening, f"{source['url']}: {host} listens on {listening}"
    mounted = {volume["target"]: pathlib.Path(volume["source"]) for volume in services["grafana"]["volumes"] if volume["type"] == "bind"}
    for file in files.provisioned("dashboards"):
        for provider in file["providers"]:
            path = provider["options"]["path"]
            assert mounted.get(path) == files.infra / "grafana/dashboards", f"{path} is not mounted"
    assert mounted["/etc/grafana/provisioning"] == files.infra / "grafana/provisioning"
    for group in (group for file in files.provisioned("alerting") for group in file.get("groups", [])):
        for rule in group["rules"]:
            ids = [query["refId"] for query in rule["data"]]
            assert rule["condition"] in ids and all(query["model"]["refId"] == query["refId"] for query in rule["data"]), rule["title"]


@needing()
def references(files):
    """each reference to a data source in dashboards, links and alerts names one that exists, with its type"""
    types = {uid: source["type"] for uid, source in files.data_sources().items()}
    paths = [path for path in sorted((files.infra / "grafana").rglob("*")) if path.suffix in (".yaml", ".json")]
    found = [place for path in paths for place in unknown_sources(types, files.read("yaml", path), path.relative_to(files.root))]
    same(found, [], "unknown data sources")
    for mistake, place in (
        ({"panels": [{"datasource": {"type": "loki", "uid": "tempo"}}]}, "file panels 0 datasource"),
        ({"data": [{}, {"datasourceUid": "lokki"}]}, "file data 1 datasourceUid"),
        ({"correlations": [{"targetUID": "mimir"}]}, "file correlations 0 targetUID"),
        ({"templating": {"datasource": "loki"}}, "file templating datasource"),
    ):
        [complaint] = unknown_sources(types, mistake, "file")
        same(complaint.split(":")[0], place, "place of a mistake")


def unknown_sources(types, value, place):
    """Yields the place of each reference to a data source that does not exist. `types` has the types of all data sources."""
    if isinstance(value, list):
        for number, member in enumerate(value):
            yield from unknown_sources(types, member, f"{place} {number}")
    if not isinstance(value, dict):
        return
    for key, member in value.items():
        if key in ("datasourceUid", "targetUID") and member not in {*types, "__expr__"}:
            yield f"{place} {key}: {member!r}, expected one of {sorted(types)}"
        elif key == "datasource" and member not in [{"type": kind, "uid": uid} for uid, kind in types.items()]:
            yield f"{place} {key}: {member!r}, expected type and uid of one of {types}"
        elif key != "datasource":
            yield from unknown_sources(types, member, f"{place} {key}")
