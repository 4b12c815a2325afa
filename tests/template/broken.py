"""Mistakes in copies of the real files, each with the check that must detect it. They prove that the checks can fail."""

import copy
from typing import NamedTuple

ABSENT = object()

FUNCTION = ("Resources", "OnboardingFunction", "Properties")
TABLE = ("Resources", "OnboardingTable", "Properties")
EVENT = (*FUNCTION, "Events", "OnboardingMessages", "Properties")
STATEMENT = ("Resources", "OnboardingFunctionRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 0)
PRODUCER = ("containerDefinitions", 0)
COLLECTOR = ("containerDefinitions", 1)


class Mistake(NamedTuple):
    """A value of the file that is replaced, or removed if it is `ABSENT`."""

    detected_by: str
    path: tuple
    value: object

    def made_in(self, document):
        """Returns a copy of the document with the mistake."""
        broken = copy.deepcopy(document)
        *parents, last = self.path
        place = broken
        for key in parents:
            place = place[key]
        if self.value is ABSENT:
            del place[last]
        else:
            place[last] = self.value
        return broken

    def __str__(self):
        what = "removed" if self.value is ABSENT else f"= {self.value!r}"
        return f"{'.'.join(map(str, self.path))} {what}"


def attribute(name):
    """Returns `Fn::GetAtt` of a resource's ARN."""
    return {"Fn::GetAtt": [name, "Arn"]}


IN_TEMPLATE = [
    # `sam validate --lint` does not detect the first two.
    Mistake("cfn_lint_of_the_expanded_template", (*EVENT, "Queue"), attribute("NoSuchQueue")),
    Mistake("cfn_lint_of_the_expanded_template", (*EVENT, "FunctionResponseTypes"), ["ReportBatchItemFailure"]),
    Mistake("cfn_lint_of_the_expanded_template", (*FUNCTION, "MemorySize"), 64),
    Mistake("cfn_lint_of_the_template_as_written", ("Resources", "OnboardingQueue", "Properties", "VisibilityTimeout"), 43201),
    Mistake("expansion", (*FUNCTION, "Events", "OnboardingMessages", "Type"), "SQSS"),
    Mistake("one_mapping_joins_queue_and_function", (*FUNCTION, "Events"), {}),
    Mistake("visibility_outlasts_the_function", ("Mappings", "Seconds", "Consumer", "VisibilityTimeout"), 180),
    Mistake("visibility_outlasts_the_function", ("Mappings", "Seconds", "Consumer", "FunctionTimeout"), 60),
    Mistake("visibility_outlasts_the_function", (*EVENT, "MaximumBatchingWindowInSeconds"), 6),
    Mistake("failed_messages_are_reported_one_by_one", (*EVENT, "FunctionResponseTypes"), ABSENT),
    Mistake("concurrency_is_limited", (*EVENT, "ScalingConfig"), ABSENT),
    Mistake("function_is_arm64_on_al2023", (*FUNCTION, "Architectures"), ["x86_64"]),
    Mistake("function_is_arm64_on_al2023", (*FUNCTION, "Runtime"), "provided.al2"),
    Mistake("function_is_arm64_on_al2023", ("Resources", "OnboardingFunction", "Metadata"), ABSENT),
    Mistake("function_writes_to_a_log_group_that_expires", (*FUNCTION, "LoggingConfig"), ABSENT),
    Mistake("each_function_has_a_role_of_the_template", (*FUNCTION, "Role"), "arn:aws:iam::123456789012:role/any"),
    Mistake("roles_have_no_wildcards", (*STATEMENT, "Resource"), "*"),
    Mistake("roles_have_no_wildcards", (*STATEMENT, "Action"), ["sqs:*"]),
    Mistake("roles_have_no_wildcards", (*STATEMENT, "NotAction"), "iam:PassRole"),
    Mistake(
        "roles_have_no_wildcards",
        ("Resources", "OnboardingFunctionRole", "Properties", "ManagedPolicyArns"),
        ["arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"],
    ),
    Mistake("queues_are_encrypted_and_refuse_plain_text", ("Resources", "OnboardingQueue", "Properties", "SqsManagedSseEnabled"), False),
    Mistake("queues_are_encrypted_and_refuse_plain_text", ("Resources", "OnboardingDeadLetterQueuePolicy"), ABSENT),
    Mistake("poison_ends_in_a_queue_that_keeps_it", ("Resources", "OnboardingQueue", "Properties", "RedrivePolicy"), ABSENT),
    Mistake(
        "poison_ends_in_a_queue_that_keeps_it",
        ("Resources", "OnboardingDeadLetterQueue", "Properties", "RedriveAllowPolicy", "sourceQueueArns"),
        ["arn:aws:sqs:eu-central-1:123456789012:other"],
    ),
    Mistake("poison_ends_in_a_queue_that_keeps_it", ("Resources", "OnboardingDeadLetterQueue", "Properties", "MessageRetentionPeriod"), 60),
    Mistake("tables_are_recoverable_and_encrypted", (*TABLE, "PointInTimeRecoverySpecification"), ABSENT),
    Mistake("tables_are_recoverable_and_encrypted", (*TABLE, "SSESpecification", "SSEEnabled"), False),
    Mistake("function_can_write_to_its_table", (*FUNCTION, "Environment", "Variables", "TABLE_NAME"), ABSENT),
    Mistake("function_can_write_to_its_table", (*STATEMENT[:-1], 1, "Action"), "dynamodb:GetItem"),
    Mistake("function_can_write_to_its_table", (*STATEMENT[:-1], 1, "Resource"), attribute("OnboardingQueue")),
    Mistake(
        "function_can_write_to_its_table",
        ("Resources", "OnboardingFunction", "Metadata", "BuildProperties", "Binary"),
        "onboarding-api",
    ),
    Mistake(
        "header_values_come_from_a_secret",
        (*FUNCTION, "Environment", "Variables", "OTEL_EXPORTER_OTLP_HEADERS"),
        "authorization=Bearer KEY",
    ),
    Mistake(
        "function_without_an_endpoint_exports_nothing",
        (*FUNCTION, "Environment", "Variables", "OTEL_METRICS_EXPORTER"),
        ABSENT,
    ),
]

IN_TASK = [
    Mistake("runs_on_arm64_fargate", ("runtimePlatform", "cpuArchitecture"), "X86_64"),
    Mistake("containers_fit_the_task", ("memory",), "512"),
    Mistake("every_container_has_a_health_check", (*COLLECTOR, "healthCheck"), ABSENT),
    Mistake("every_container_has_a_health_check", (*PRODUCER, "healthCheck", "interval"), 1),
    Mistake("health_checks_ask_for_the_right_thing", (*PRODUCER, "healthCheck", "command"), ["CMD", "true"]),
    Mistake("producer_waits_for_the_collector", (*PRODUCER, "dependsOn", 0, "condition"), "START"),
    Mistake("producer_has_its_variables", (*PRODUCER, "environment"), []),
    Mistake("secrets_are_references", (*COLLECTOR, "secrets", 0, "valueFrom"), "Bearer KEY"),
    Mistake("secrets_are_references", (*COLLECTOR, "environment", 0), {"name": "OTLP_AUTHORIZATION", "value": "Bearer KEY"}),
    Mistake("containers_are_confined", (*PRODUCER, "user"), "root"),
    Mistake("containers_are_confined", (*COLLECTOR, "readonlyRootFilesystem"), False),
    Mistake("containers_log_and_stop_in_time", (*PRODUCER, "stopTimeout"), 300),
    Mistake("containers_log_and_stop_in_time", (*COLLECTOR, "logConfiguration"), ABSENT),
    Mistake("accounts_are_examples", ("taskRoleArn",), f"arn:aws:iam::{'9' * 12}:role/any"),
]

IN_COLLECTOR = [
    Mistake("every_signal_passes_through", ("service", "pipelines", "logs"), ABSENT),
    Mistake("every_signal_passes_through", ("service", "pipelines", "metrics", "receivers"), ["span_metrics"]),
    Mistake("every_signal_passes_through", ("service", "pipelines", "traces", "exporters"), ["span_metrics"]),
    Mistake("pipelines_name_defined_components", ("service", "pipelines", "traces", "receivers"), ["otlp", "zipkin"]),
    Mistake("pipelines_name_defined_components", ("service", "extensions"), ["health_check", "pprof"]),
    Mistake("defined_components_are_used", ("exporters", "debug"), {}),
    Mistake("connectors_join_two_pipelines", ("service", "pipelines", "traces", "exporters"), ["otlp_http"]),
    Mistake("memory_is_limited_first", ("service", "pipelines", "metrics", "processors"), ["batch", "memory_limiter"]),
    Mistake("listeners_are_on_loopback_unless_told", ("receivers", "otlp", "protocols", "grpc", "endpoint"), "0.0.0.0:4317"),
    Mistake("span_metrics_cover_the_range", ("connectors", "span_metrics", "histogram", "explicit", "buckets"), ["2ms", "1s"]),
    Mistake("backend_and_key_come_from_the_environment", ("exporters", "otlp_http", "headers", "authorization"), "Bearer KEY"),
]
