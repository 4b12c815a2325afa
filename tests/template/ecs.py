"""The producer's task definition in the template, in the form of `aws ecs register-task-definition`."""

import cloudformation
from spelling import in_camel_case

# Values that AWS chooses for the stack, and that users choose in `infra/ecs/task-definition.json`.
RESOURCES = {
    "OnboardingQueue": f"https://sqs.{cloudformation.REGION}.amazonaws.com/{cloudformation.ACCOUNT}/baton-onboarding",
    "ProducerLogGroup": "/ecs/baton-onboarding-api",
    "CollectorBase": "baton-collector-base",
    "CollectorSpanMetrics": "baton-collector-span-metrics",
    "CollectorBackend": "baton-collector-backend",
}
ROLES = {
    "executionRoleArn": f"arn:aws:iam::{cloudformation.ACCOUNT}:role/baton-onboarding-api-execution",
    "taskRoleArn": f"arn:aws:iam::{cloudformation.ACCOUNT}:role/baton-onboarding-api-task",
}
PARAMETERS = {
    "CoralogixDomain": "eu2.coralogix.com",
    "OtlpHeadersSecretArn": f"arn:aws:secretsmanager:{cloudformation.REGION}:{cloudformation.ACCOUNT}:secret:baton/otlp-headers-AbCdEf",
    "ProducerImage": f"{cloudformation.ACCOUNT}.dkr.ecr.{cloudformation.REGION}.amazonaws.com/baton/onboarding-api:0.1.0",
}


def task_of_template(expanded):
    """Returns the task definition of an expanded template, with example values."""
    resolved = cloudformation.resolve(expanded, PARAMETERS, RESOURCES)
    return in_camel_case(resolved["Resources"]["ProducerTask"]["Properties"]) | ROLES
