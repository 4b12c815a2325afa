"""Mistakes in copies of the real files, each with the check that must detect it. They prove that the checks can fail."""

import copy
from typing import NamedTuple

ABSENT = object()

FUNCTION = ("Resources", "OnboardingFunction", "Properties")
TABLE = ("Resources", "OnboardingTable", "Properties")
EVENT = (*FUNCTION, "Events", "OnboardingMessages", "Properties")
STATEMENT = ("Resources", "OnboardingFunctionRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 0)
IMAGES = ("Resources", "ProducerExecutionRole", "Properties", "Policies", 0, "PolicyDocument", "Statement", 1)
DASHBOARD = ("Resources", "Dashboard", "Properties", "DashboardBody", "Fn::Join", 1)
VARIABLES = (*FUNCTION, "Environment", "Variables")
DEAD_LETTER_ALARM = ("Resources", "DeadLetterQueueAlarm", "Properties")
SERVICE = ("Resources", "ProducerService", "Properties")
TARGET_GROUP = ("Resources", "ProducerTargetGroup", "Properties")
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
    Mistake("endpoint_is_checked", ("Parameters", "OtlpEndpoint", "AllowedPattern"), ".*"),
    Mistake("domain_of_coralogix_is_checked", ("Parameters", "CoralogixDomain", "AllowedPattern"), "[a-z0-9.-]*"),
    Mistake("coralogix_receives_no_deltas", (*VARIABLES, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"), "delta"),
    Mistake("every_timeout_is_checked", ("Parameters", "FunctionTimeout", "AllowedValues"), [30, 45]),
    Mistake("visibility_outlasts_the_function", ("Mappings", "FunctionTimeouts", "30", "VisibilityTimeout"), 239),
    Mistake("visibility_outlasts_the_function", ("Mappings", "FunctionTimeouts", "900", "VisibilityTimeout"), 5459),
    Mistake("visibility_outlasts_the_function", (*FUNCTION, "Timeout"), 60),
    Mistake("failed_messages_are_reported_one_by_one", (*EVENT, "FunctionResponseTypes"), ABSENT),
    Mistake("failures_are_counted", (*EVENT, "MetricsConfig"), ABSENT),
    Mistake("concurrency_is_limited", (*EVENT, "ScalingConfig"), ABSENT),
    Mistake("function_is_arm64_on_al2023", (*FUNCTION, "Architectures"), ["x86_64"]),
    Mistake("function_is_arm64_on_al2023", (*FUNCTION, "Runtime"), "provided.al2"),
    Mistake("function_is_arm64_on_al2023", ("Resources", "OnboardingFunction", "Metadata"), ABSENT),
    Mistake("function_writes_to_a_log_group_that_expires", (*FUNCTION, "LoggingConfig"), ABSENT),
    Mistake("each_function_has_a_role_of_the_template", (*FUNCTION, "Role"), "arn:aws:iam::123456789012:role/any"),
    Mistake("roles_have_no_wildcards", (*STATEMENT, "Resource"), "*"),
    Mistake("roles_have_no_wildcards", (*STATEMENT, "Action"), ["sqs:*"]),
    Mistake("roles_have_no_wildcards", (*IMAGES, "Resource"), "*"),
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
    Mistake("function_may_use_what_its_variables_name", (*VARIABLES, "TABLE_NAME"), ABSENT),
    Mistake("function_may_use_what_its_variables_name", (*STATEMENT[:-1], 1, "Action"), "dynamodb:GetItem"),
    Mistake("function_may_use_what_its_variables_name", (*STATEMENT[:-1], 1, "Resource"), attribute("OnboardingQueue")),
    Mistake("function_may_use_what_its_variables_name", (*STATEMENT[:-1], 3), ABSENT),
    Mistake("function_may_use_what_its_variables_name", (*STATEMENT[:-1], 4), ABSENT),
    Mistake(
        "function_is_built_for_its_variables",
        ("Resources", "OnboardingFunction", "Metadata", "BuildProperties", "Binary"),
        "onboarding-api",
    ),
    Mistake("keys_are_not_in_variables", (*VARIABLES, "OTEL_EXPORTER_OTLP_HEADERS"), "authorization=Bearer KEY"),
    Mistake("keys_are_not_in_variables", (*VARIABLES, "KEY"), "{{resolve:secretsmanager:baton/key}}"),
    Mistake("function_without_an_endpoint_exports_nothing", (*VARIABLES, "OTEL_METRICS_EXPORTER"), ABSENT),
    Mistake("function_without_an_endpoint_exports_nothing", (*VARIABLES, "OTEL_LOGS_EXPORTER"), {"Ref": "LogsExporter"}),
    Mistake("alarms_say_what_to_do", (*DEAD_LETTER_ALARM, "AlarmDescription"), "The queue is not empty."),
    Mistake("alarms_say_what_to_do", (*DEAD_LETTER_ALARM, "TreatMissingData"), ABSENT),
    Mistake("alarms_say_what_to_do", (*DEAD_LETTER_ALARM, "OKActions"), ABSENT),
    Mistake("alarms_watch_the_alias", ("Resources", "FunctionErrorsAlarm", "Properties", "Dimensions", 1), ABSENT),
    # This metric does not count messages that the redrive policy moves.
    Mistake("replaced_versions_stay", ("Resources", "OnboardingFunction", "UpdateReplacePolicy"), ABSENT),
    Mistake("everything_is_watched", (*DEAD_LETTER_ALARM, "MetricName"), "NumberOfMessagesSent"),
    Mistake("everything_is_watched", ("Resources", "QueueLatencyAlarm"), ABSENT),
    Mistake("dashboard_shows_what_the_alarms_watch", (*DASHBOARD, 2), {"Ref": "AWS::NoValue"}),
    Mistake("dashboard_shows_what_the_alarms_watch", (*DASHBOARD, 1), "{"),
    Mistake("services_roll_back", (*SERVICE, "DeploymentConfiguration", "DeploymentCircuitBreaker", "Rollback"), False),
    Mistake("services_roll_back", (*SERVICE, "DeploymentConfiguration", "MinimumHealthyPercent"), 50),
    Mistake("target_groups_ask_for_readiness", (*TARGET_GROUP, "HealthCheckPath"), "/healthz"),
    Mistake("target_groups_ask_for_readiness", (*TARGET_GROUP, "TargetGroupAttributes"), ABSENT),
    Mistake("public_listeners_encrypt", ("Resources", "ProducerRedirectListener", "Properties", "DefaultActions", 0, "Type"), "forward"),
    Mistake("collector_configuration_is_that_of_the_files", ("Resources", "CollectorBase", "Properties", "Value"), "receivers: {}"),
    Mistake("collector_configuration_is_that_of_the_files", ("Resources", "CollectorBackend", "Properties", "Value", "Fn::If", 0), "HasBackend"),
]

IN_TASK = [
    Mistake("runs_on_arm64_fargate", ("runtimePlatform", "cpuArchitecture"), "X86_64"),
    Mistake("containers_fit_the_task", ("memory",), "512"),
    Mistake("the_producer_checks_its_health", (*PRODUCER, "healthCheck", "command"), ["CMD-SHELL", "curl localhost:8080/healthz"]),
    Mistake("the_producer_checks_its_health", (*PRODUCER, "healthCheck", "interval"), 1),
    Mistake("the_collector_is_not_needed", (*COLLECTOR, "essential"), True),
    Mistake("the_collector_is_not_needed", (*COLLECTOR, "restartPolicy"), ABSENT),
    Mistake("the_collector_is_not_needed", (*PRODUCER, "dependsOn"), ABSENT),
    Mistake("the_collector_is_configured_by_parameters", (*COLLECTOR, "command"), []),
    Mistake("the_collector_is_configured_by_parameters", (*COLLECTOR, "secrets"), []),
    Mistake("the_collector_is_configured_by_parameters", (*COLLECTOR, "environment", 1, "value"), "0"),
    Mistake("same_as_in_the_template", (*PRODUCER, "stopTimeout"), 61),
    Mistake("same_as_in_the_template", (*COLLECTOR, "image"), "otel/opentelemetry-collector-contrib:latest"),
    Mistake("producer_has_its_variables", (*PRODUCER, "environment"), []),
    Mistake("secrets_are_references", (*COLLECTOR, "secrets", 0, "valueFrom"), "Bearer KEY"),
    Mistake("secrets_are_references", (*COLLECTOR, "environment", 0), {"name": "OTLP_AUTHORIZATION", "value": "Bearer KEY"}),
    Mistake("containers_are_confined", (*PRODUCER, "user"), "root"),
    Mistake("containers_are_confined", (*COLLECTOR, "readonlyRootFilesystem"), False),
    Mistake("containers_log_and_stop_in_time", (*PRODUCER, "stopTimeout"), 300),
    Mistake("containers_log_and_stop_in_time", (*COLLECTOR, "logConfiguration"), ABSENT),
    Mistake("accounts_are_examples", ("taskRoleArn",), f"arn:aws:iam::{'9' * 12}:role/any"),
]

BASE_PIPELINES = ("base", "service", "pipelines")
OTLP_EXPORTER = ("backends/otlp", "exporters", "otlp_http")

IN_COLLECTOR = [
    Mistake("every_signal_passes_through", (*BASE_PIPELINES, "logs"), ABSENT),
    Mistake("every_signal_passes_through", (*BASE_PIPELINES, "metrics", "receivers"), ["span_metrics"]),
    Mistake("every_signal_passes_through", (*BASE_PIPELINES, "traces/sampled", "exporters"), ["span_metrics"]),
    Mistake("pipelines_name_defined_components", (*BASE_PIPELINES, "traces", "receivers"), ["otlp", "zipkin"]),
    Mistake("pipelines_name_defined_components", ("gateway", "service", "extensions"), ["health_check", "pprof"]),
    Mistake("defined_components_are_used", ("agent", "processors", "batch"), {}),
    Mistake("connectors_join_two_pipelines", (*BASE_PIPELINES, "traces", "exporters"), ["forward/backends"]),
    Mistake("memory_is_limited_first", (*BASE_PIPELINES, "metrics", "processors"), []),
    Mistake("memory_is_limited_first", (*BASE_PIPELINES, "traces/sampled", "processors"), ["memory_limiter"]),
    Mistake("span_metrics_count_unsampled_spans", ("base", "processors", "probabilistic_sampler", "sampling_percentage"), 10),
    Mistake("span_metrics_count_unsampled_spans", (*BASE_PIPELINES, "traces", "processors"), ["memory_limiter", "probabilistic_sampler"]),
    Mistake("listeners_are_on_loopback_by_default", ("base", "receivers", "otlp", "protocols", "grpc", "endpoint"), "0.0.0.0:4317"),
    Mistake("span_metrics_have_buckets", ("span-metrics-grafana", "connectors", "span_metrics", "histogram", "explicit", "buckets"), ["2ms", "1s"]),
    Mistake("span_metrics_have_buckets", ("span-metrics-coralogix", "connectors", "span_metrics/db", "histogram", "explicit", "buckets"), ["2ms", "15s"]),
    Mistake("backends_and_keys_come_from_the_environment", (*OTLP_EXPORTER, "headers", "authorization"), "Bearer KEY"),
    Mistake("accepted_data_is_kept", (*OTLP_EXPORTER, "retry_on_failure"), ABSENT),
    Mistake("accepted_data_is_kept", (*OTLP_EXPORTER, "sending_queue", "storage"), ABSENT),
    Mistake("accepted_data_is_kept", (*OTLP_EXPORTER, "sending_queue", "batch"), {}),
    Mistake("accepted_data_is_kept", (*OTLP_EXPORTER, "sending_queue", "sizer"), ABSENT),
    Mistake("span_metrics_have_dimensions", ("span-metrics-coralogix", "connectors", "span_metrics", "dimensions"), []),
    Mistake("span_metrics_have_dimensions", ("span-metrics-grafana", "connectors", "span_metrics", "metrics_flush_interval"), "60s"),
    Mistake("span_metrics_have_dimensions", ("span-metrics-coralogix", "service", "pipelines", "traces/compact", "processors"), ["transform/compact"]),
    Mistake("deltas_are_converted", ("backends/prometheus", "service", "pipelines", "metrics/prometheus", "processors"), []),
    Mistake("no_list_loses_elements", ("gateway", "service", "extensions"), ["file_storage"]),
]
