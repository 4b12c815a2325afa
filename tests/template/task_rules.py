"""Rules for `infra/ecs/task-definition.json`. Each returns its complaints."""

import re

# Form of `valueFrom`: the full ARN of a secret or a parameter.
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


def every_container_has_a_health_check(task):
    """A health check with limits that ECS accepts."""
    complaints = []
    for name, container in containers(task).items():
        check = container.get("healthCheck", {})
        if check.get("command", [""])[0] not in ("CMD", "CMD-SHELL"):
            complaints.append(f"{name}: has no health check")
        for key, (least, most) in SECONDS_OF_HEALTH_CHECK.items():
            if not least <= check.get(key, -1) <= most:
                complaints.append(f"{name}: healthCheck.{key} is {check.get(key)}, expected {least} to {most}")
    return complaints


def health_checks_ask_for_the_right_thing(task):
    """The producer's `/healthz` on its port, and the collector's extension."""
    wanted = {"onboarding-api": ("/127.0.0.1/8080 ", "GET /healthz "), "collector": ("/127.0.0.1/13133 ", "GET / ")}
    return [
        f"{name}: its health check does not ask for {piece.strip()}"
        for name, pieces in wanted.items()
        for piece in pieces
        if piece not in " ".join(containers(task)[name].get("healthCheck", {}).get("command", []))
    ]


def producer_waits_for_the_collector(task):
    """The producer starts after the collector is healthy, and stops before it."""
    wanted = {"containerName": "collector", "condition": "HEALTHY"}
    waits = wanted in containers(task)["onboarding-api"].get("dependsOn", [])
    return [] if waits else ["onboarding-api does not wait for a healthy collector"]


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
    every_container_has_a_health_check,
    health_checks_ask_for_the_right_thing,
    producer_waits_for_the_collector,
    producer_has_its_variables,
    secrets_are_references,
    containers_are_confined,
    containers_log_and_stop_in_time,
    accounts_are_examples,
]
