"""Rules for `infra/ecs/task-definition.json`. Each returns its complaints."""

import re

# What `valueFrom` may be: a secret or a parameter, by its full ARN.
SECRET_ARN = re.compile(r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:|ssm:[a-z0-9-]+:\d{12}:parameter/)\S+")

# Names of variables that hold a secret, and so may not stand in `environment`.
SECRET_NAME = re.compile(r"AUTHORIZATION|HEADERS|PASSWORD|SECRET|TOKEN|(ACCESS|API|PRIVATE)_?KEY")

# The only account numbers that may stand in the repository.
EXAMPLE_ACCOUNTS = {"000000000000", "123456789012"}

# Health checks that ECS runs: any shorter and a slow start counts as illness.
SECONDS_OF_HEALTH_CHECK = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}

# Fargate kills a container after this many seconds at the latest.
LONGEST_STOP_TIMEOUT = 120


def containers(task):
    """The containers by name."""
    return {container["name"]: container for container in task["containerDefinitions"]}


def variables(container):
    """The container's plain environment."""
    return {item["name"]: item["value"] for item in container.get("environment", [])}


def runs_on_arm64_fargate(task):
    """Both images are built for it."""
    platform = task.get("runtimePlatform", {})
    complaints = [] if platform.get("cpuArchitecture") == "ARM64" else ["runtimePlatform is not ARM64"]
    if task.get("requiresCompatibilities") != ["FARGATE"] or task.get("networkMode") != "awsvpc":
        complaints.append("is no Fargate task: FARGATE and awsvpc are needed")
    return complaints


def containers_fit_the_task(task):
    """Fargate refuses containers that together want more than their task has."""
    return [
        f"containers want {total} of {key}, the task has {task[key]}"
        for key in ("cpu", "memory")
        if (total := sum(container[key] for container in task["containerDefinitions"])) > int(task[key])
    ]


def every_container_has_a_health_check(task):
    """With limits that ECS accepts."""
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
    """The producer's own page on its own port, and the collector's extension."""
    wanted = {"onboarding-api": ("/127.0.0.1/8080 ", "GET /healthz "), "collector": ("/127.0.0.1/13133 ", "GET / ")}
    return [
        f"{name}: its health check does not ask for {piece.strip()}"
        for name, pieces in wanted.items()
        for piece in pieces
        if piece not in " ".join(containers(task)[name].get("healthCheck", {}).get("command", []))
    ]


def producer_waits_for_the_collector(task):
    """And so is stopped before it."""
    wanted = {"containerName": "collector", "condition": "HEALTHY"}
    waits = wanted in containers(task)["onboarding-api"].get("dependsOn", [])
    return [] if waits else ["onboarding-api does not wait for a healthy collector"]


def producer_has_its_variables(task):
    """What the onboarding API reads, with its spans going to the sidecar."""
    given = variables(containers(task)["onboarding-api"])
    needed = ("QUEUE_URL", "LISTEN_ADDR", "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL")
    complaints = [f"onboarding-api: {name} is missing" for name in needed if name not in given]
    if given.get("OTEL_EXPORTER_OTLP_ENDPOINT") != "http://127.0.0.1:4318":
        complaints.append("onboarding-api: its spans do not go to the sidecar")
    return complaints


def secrets_are_references(task):
    """By ARN, and never among the plain variables."""
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
    """No root user, nothing to write to, no capability."""
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
    """awslogs, and a stop that leaves time to finish."""
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
    """A real account number in a public file is an invitation."""
    return [f"{number} is no example account" for number in set(re.findall(r"\b\d{12}\b", str(task))) - EXAMPLE_ACCOUNTS]


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
