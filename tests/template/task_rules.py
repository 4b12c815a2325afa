"""Rules for `infra/ecs/task-definition.json`. Each returns its complaints."""

import re

import embed

# Form of `valueFrom`: the full ARN of a secret, a key of its JSON, or a parameter.
SECRET_ARN = re.compile(r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:|ssm:[a-z0-9-]+:\d{12}:parameter/)\S+")

# Names of variables with secrets, which must not be in `environment`.
SECRET_NAME = re.compile(r"AUTHORIZATION|HEADERS|PASSWORD|SECRET|TOKEN|(ACCESS|API|PRIVATE)_?KEY")

# The only account numbers that the repository may contain.
EXAMPLE_ACCOUNTS = {"000000000000", "123456789012"}

# Lower limits for health checks. With shorter ones, a slow start would count as unhealthy.
SECONDS_OF_HEALTH_CHECK = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}

# Seconds after which Fargate always kills a container.
LONGEST_STOP_TIMEOUT = 120


def containers(task):
    """Returns the containers by name."""
    return {container["name"]: container for container in task["containerDefinitions"]}


def variables(container):
    """Returns the container's plain variables."""
    return {item["name"]: item["value"] for item in container.get("environment", [])}


def runs_on_arm64_fargate(task):
    """Both images are built for arm64 Linux."""
    platform = task.get("runtimePlatform", {})
    complaints = [] if platform.get("cpuArchitecture") == "ARM64" else ["runtimePlatform is not ARM64"]
    if task.get("requiresCompatibilities") != ["FARGATE"] or task.get("networkMode") != "awsvpc":
        complaints.append("is not a Fargate task: expected FARGATE and awsvpc")
    return complaints


def containers_fit_the_task(task):
    """Fargate refuses containers that need more than their task has in total."""
    return [
        f"containers want {total} of {key}, the task has {task[key]}"
        for key in ("cpu", "memory")
        if (total := sum(container[key] for container in task["containerDefinitions"])) > int(task[key])
    ]


def the_producer_checks_its_health(task):
    """The health check is the producer's binary, because its image has neither a shell nor curl. ECS accepts its times."""
    check = containers(task)["onboarding-api"].get("healthCheck", {})
    complaints = []
    if check.get("command") != ["CMD", "onboarding-api", "health"]:
        complaints.append(f"onboarding-api: its health check is {check.get('command')}")
    for key, (least, most) in SECONDS_OF_HEALTH_CHECK.items():
        if not least <= check.get(key, -1) <= most:
            complaints.append(f"onboarding-api: healthCheck.{key} is {check.get(key)}, expected {least} to {most}")
    return complaints


def the_collector_is_not_needed(task):
    """If the collector exits, ECS restarts it, and the producer continues. The collector stops after the producer."""
    collector = containers(task)["collector"]
    complaints = []
    if collector.get("essential") is not False or not collector.get("restartPolicy", {}).get("enabled"):
        complaints.append("collector: it is essential, or ECS does not restart it")
    if {"containerName": "collector", "condition": "START"} not in containers(task)["onboarding-api"].get("dependsOn", []):
        complaints.append("onboarding-api: it does not depend on the start of the collector")
    return complaints


def the_collector_is_configured_by_parameters(task):
    """The collector reads its configuration from parameters, so that its image can be that of the OpenTelemetry project."""
    collector = containers(task)["collector"]
    secrets = {secret["name"]: secret["valueFrom"] for secret in collector.get("secrets", [])}
    read = [option.removeprefix("--config=env:") for option in collector.get("command", [])]
    complaints = [f"collector: {name} is not a parameter of Systems Manager" for name in read if ":parameter/" not in secrets.get(name, "")]
    if read != ["COLLECTOR_BASE", "COLLECTOR_SPAN_METRICS", "COLLECTOR_BACKEND"]:
        complaints.append(f"collector: its command is {collector.get('command')}")
    _, digest = embed.embed_files(embed.TEMPLATE.read_text())
    if {"name": "COLLECTOR_CONFIGURATION_SHA256", "value": digest} not in collector.get("environment", []):
        complaints.append(f"collector: COLLECTOR_CONFIGURATION_SHA256 is not {digest}; run infra/collector/embed.py")
    return complaints


def producer_has_its_variables(task):
    """The variables that the onboarding API needs; its telemetry goes to the sidecar."""
    given = variables(containers(task)["onboarding-api"])
    needed = ("QUEUE_URL", "LISTEN_ADDR", "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL")
    complaints = [f"onboarding-api: {name} is missing" for name in needed if name not in given]
    if given.get("OTEL_EXPORTER_OTLP_ENDPOINT") != "http://127.0.0.1:4318":
        complaints.append("onboarding-api: its spans do not go to the sidecar")
    return complaints


def secrets_are_references(task):
    """Secrets are ARNs and not plain variables."""
    complaints = []
    for name, container in containers(task).items():
        for secret in container.get("secrets", []):
            if not SECRET_ARN.fullmatch(secret["valueFrom"]):
                complaints.append(f"{name}: {secret['name']} comes from {secret['valueFrom']}, expected an ARN")
        complaints += [f"{name}: {key} stands in plain text" for key in variables(container) if SECRET_NAME.search(key)]
    if not containers(task)["collector"].get("secrets"):
        complaints.append("collector: has no secret, so it cannot authenticate to its backend")
    return complaints


def containers_are_confined(task):
    """No root user, a read-only file system, no capabilities."""
    complaints = []
    for name, container in containers(task).items():
        if container.get("user", "0").split(":")[0] in ("0", "root"):
            complaints.append(f"{name}: runs as root")
        if container.get("readonlyRootFilesystem") is not True or container.get("privileged"):
            complaints.append(f"{name}: may write to its root file system, or is privileged")
        if container.get("linuxParameters", {}).get("capabilities", {}).get("drop") != ["ALL"]:
            complaints.append(f"{name}: keeps capabilities")
    return complaints


def containers_log_and_stop_in_time(task):
    """The log driver awslogs, and a stop timeout that leaves time for shutdown."""
    complaints = []
    for name, container in containers(task).items():
        logs = container.get("logConfiguration", {})
        missing = {"awslogs-group", "awslogs-region", "awslogs-stream-prefix"} - set(logs.get("options", {}))
        if logs.get("logDriver") != "awslogs" or missing:
            complaints.append(f"{name}: does not log to CloudWatch")
        if not 0 < container.get("stopTimeout", 0) <= LONGEST_STOP_TIMEOUT:
            complaints.append(f"{name}: stopTimeout is {container.get('stopTimeout')}, expected 1 to {LONGEST_STOP_TIMEOUT}")
    return complaints


def accounts_are_examples(task):
    """A public file must not contain a real account number."""
    return [f"{number} is not an example account" for number in set(re.findall(r"\b\d{12}\b", str(task))) - EXAMPLE_ACCOUNTS]


RULES = [
    runs_on_arm64_fargate,
    containers_fit_the_task,
    the_producer_checks_its_health,
    the_collector_is_not_needed,
    the_collector_is_configured_by_parameters,
    producer_has_its_variables,
    secrets_are_references,
    containers_are_confined,
    containers_log_and_stop_in_time,
    accounts_are_examples,
]
