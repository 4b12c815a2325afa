"""Checks of the task definition for an existing cluster."""

import json

from bench import check, same


@check
def the_task_definition_can_be_registered(bench):
    """infra/ecs/task-definition.json has only keys that ECS supports, and can be registered unchanged."""
    definition = json.loads((bench.programs.root / "infra" / "ecs" / "task-definition.json").read_text())
    # boto3 refuses unknown keys and wrong types before it sends the request.
    registered = bench.emulator.client("ecs").register_task_definition(**definition)["taskDefinition"]
    same([container["name"] for container in registered["containerDefinitions"]], ["onboarding-api", "collector"], "containers")
