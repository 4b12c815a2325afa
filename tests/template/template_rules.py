"""Rules that cfn-lint does not have, mostly about relations between resources. Each returns its complaints.

They apply to a template that has been expanded, and resolved with values of its parameters.
"""

import json
import pathlib
import re
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Cargo features that the function needs if a variable is set. Without the feature, the function
# does not start, or exports without a key.
FEATURES = {
    "TABLE_NAME": "dynamodb",
    "BATON_DEAD_LETTER_QUEUE_URL": "dead-letter-queue",
    "OTEL_EXPORTER_OTLP_HEADERS_SECRET": "secrets",
}

# AWS's recommendation for queues that Lambda consumes: a throttled batch is retried for this many
# timeouts.
VISIBILITY_PER_TIMEOUT = 6

# The event source mapping refuses lower values. Without a limit, a burst takes the account's whole
# concurrency.
SMALLEST_MAXIMUM_CONCURRENCY = 2


def resources_of_type(template, kind):
    """Returns the logical names and properties of all resources of a type."""
    resources = template["Resources"].items()
    return {name: item.get("Properties", {}) for name, item in resources if item["Type"] == kind}


def target(reference):
    """Returns the logical name in `Ref` or `Fn::GetAtt`, or None."""
    if not isinstance(reference, dict):
        return None
    attribute = reference.get("Fn::GetAtt", [None])
    return reference.get("Ref") or (attribute.split(".")[0] if isinstance(attribute, str) else attribute[0])


def as_list(value):
    """Wraps a single string, which IAM accepts instead of a list."""
    return value if isinstance(value, list) else [value]


def strings(value):
    """Returns every string inside a value."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def functions(template):
    """Returns the functions by logical name."""
    return resources_of_type(template, "AWS::Lambda::Function")


def variables(function):
    """Returns the variables of a function."""
    return function.get("Environment", {}).get("Variables", {})


def invoked_function(template, reference):
    """Returns the function that a reference to it or to its alias invokes, or None."""
    alias = resources_of_type(template, "AWS::Lambda::Alias").get(target(reference))
    return functions(template).get(target(alias["FunctionName"] if alias else reference))


def mappings(template):
    """Yields each event source mapping with its function and its queue."""
    queues = resources_of_type(template, "AWS::SQS::Queue")
    for name, mapping in resources_of_type(template, "AWS::Lambda::EventSourceMapping").items():
        yield name, mapping, invoked_function(template, mapping["FunctionName"]), queues.get(target(mapping["EventSourceArn"]))


def one_mapping_joins_queue_and_function(template):
    """Without a mapping nothing is consumed, and the rules about mappings would check nothing."""
    joined = [name for name, _, function, queue in mappings(template) if function and queue]
    return [] if len(joined) == 1 else [f"expected one event source mapping from a queue to a function of the template, found {joined}"]


def visibility_outlasts_the_function(template):
    """At least 6 x the function's timeout plus the batching window."""
    complaints = []
    for name, mapping, function, queue in mappings(template):
        if not (function and queue):
            continue
        least = VISIBILITY_PER_TIMEOUT * function["Timeout"] + mapping.get("MaximumBatchingWindowInSeconds", 0)
        visibility = queue["VisibilityTimeout"]
        if visibility < least:
            complaints.append(f"{name}: the queue's visibility timeout is {visibility} s, expected at least {least} s")
    return complaints


def failed_messages_are_reported_one_by_one(template):
    """Without `ReportBatchItemFailures`, AWS deletes failed messages."""
    return [
        f"{name}: FunctionResponseTypes is {mapping.get('FunctionResponseTypes')}"
        for name, mapping, _, _ in mappings(template)
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]
    ]


def failures_are_counted(template):
    """The mapping has metrics, because the function's metric `Errors` does not count partial failures of batches."""
    return [
        f"{name}: MetricsConfig is {mapping.get('MetricsConfig')}"
        for name, mapping, _, _ in mappings(template)
        if "EventCount" not in mapping.get("MetricsConfig", {}).get("Metrics", [])
    ]


def concurrency_is_limited(template):
    """The mapping limits its concurrency."""
    return [
        f"{name}: ScalingConfig is {mapping.get('ScalingConfig')}"
        for name, mapping, _, _ in mappings(template)
        if mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 0) < SMALLEST_MAXIMUM_CONCURRENCY
    ]


def function_is_arm64_on_al2023(template):
    """The function's runtime matches the build."""
    complaints = []
    for name, function in functions(template).items():
        for key, wanted in (("Runtime", "provided.al2023"), ("Architectures", ["arm64"]), ("Handler", "bootstrap")):
            if function.get(key) != wanted:
                complaints.append(f"{name}: {key} is {function.get(key)}, expected {wanted}")
        metadata = template["Resources"][name].get("Metadata", {})
        if metadata.get("BuildMethod") != "rust-cargolambda" or "Binary" not in metadata.get("BuildProperties", {}):
            complaints.append(f"{name}: is not built by rust-cargolambda with the name of a binary")
    return complaints


def function_writes_to_a_log_group_that_expires(template):
    """Lambda creates log groups without an expiry."""
    groups = resources_of_type(template, "AWS::Logs::LogGroup")
    return [
        f"{name}: has no log group with RetentionInDays"
        for name, function in functions(template).items()
        if "RetentionInDays" not in groups.get(target(function.get("LoggingConfig", {}).get("LogGroup")), {})
    ]


def statements(template):
    """Yields each statement of every role and managed policy in the template."""
    for name, role in resources_of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            yield from ((name, statement) for statement in as_list(policy["PolicyDocument"]["Statement"]))
    for name, policy in resources_of_type(template, "AWS::IAM::ManagedPolicy").items():
        yield from ((name, statement) for statement in as_list(policy["PolicyDocument"]["Statement"]))


# Resources with a wildcard that a statement may contain, because the action does not support single
# resources, or because the names of the images and of the objects are not known.
WILDCARDS = {
    "LogInToRegistry": r"\*",
    "PullImages": r"arn:aws:ecr:[a-z0-9-]+:\d{12}:repository/\*",
    "StoreFailedMetrics": r"\$\{FailedMetricsBucket\.Arn\}/\*",
}

# The role that SAM creates for CodeDeploy, with a policy managed by AWS.
CODE_DEPLOY_ROLE = "CodeDeployServiceRole"


def roles_have_no_wildcards(template):
    """No wildcard in an action or a resource, and no policy managed by AWS, because those contain wildcards."""
    policies = resources_of_type(template, "AWS::IAM::ManagedPolicy")
    complaints = [
        f"{name}: attaches {policy}"
        for name, role in resources_of_type(template, "AWS::IAM::Role").items()
        for policy in role.get("ManagedPolicyArns", [])
        if target(policy) not in policies and name != CODE_DEPLOY_ROLE
    ]
    for name, statement in statements(template):
        for key in ("NotAction", "NotResource"):
            if key in statement:
                complaints.append(f"{name}: {key} allows everything that it does not name")
        for key in ("Action", "Resource"):
            wild = [text for text in strings(statement.get(key)) if "*" in text]
            if key == "Resource":
                allowed = WILDCARDS.get(statement.get("Sid"), "")
                wild = [text for text in wild if not re.fullmatch(allowed, text)]
            complaints += [f"{name}: {key} {text} contains a wildcard" for text in wild]
    return complaints


def each_function_has_a_role_of_the_template(template):
    """SAM would create a role that allows reading every queue."""
    roles = resources_of_type(template, "AWS::IAM::Role")
    return [
        f"{name}: its role is not defined in the template"
        for name, function in functions(template).items()
        if target(function.get("Role")) not in roles
    ]


def denies_without_tls(statement):
    """Returns whether a statement of a queue policy denies all requests without TLS."""
    condition = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    everyone = statement.get("Principal") == "*" and statement.get("Action") == "sqs:*"
    return statement["Effect"] == "Deny" and everyone and condition == "false"


def queues_are_encrypted_and_refuse_plain_text(template):
    """Server-side encryption at rest and TLS in transit."""
    refusing = {
        target(statement["Resource"])
        for policy in resources_of_type(template, "AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if denies_without_tls(statement) and target(statement["Resource"]) in map(target, policy["Queues"])
    }
    queues = resources_of_type(template, "AWS::SQS::Queue")
    plain = [f"{name}: SqsManagedSseEnabled is not set" for name, queue in queues.items() if queue.get("SqsManagedSseEnabled") is not True]
    return plain + [f"{name}: no policy denies requests without TLS" for name in queues if name not in refusing]


def poison_ends_in_a_queue_that_keeps_it(template):
    """Every consumed queue has a dead-letter queue that allows only this source and keeps messages longer."""
    complaints = []
    queues = resources_of_type(template, "AWS::SQS::Queue")
    for _, mapping, _, queue in mappings(template):
        source = target(mapping["EventSourceArn"])
        dead_letters = queues.get(target((queue or {}).get("RedrivePolicy", {}).get("deadLetterTargetArn")))
        if dead_letters is None:
            complaints.append(f"{source}: has no dead-letter queue in the template")
            continue
        if dead_letters.get("MessageRetentionPeriod", 0) <= queue.get("MessageRetentionPeriod", 0):
            complaints.append(f"{source}: its dead-letter queue does not keep messages longer than itself")
        allow = dead_letters.get("RedriveAllowPolicy", {})
        named = [text for text in strings(queue.get("QueueName")) if any(arn.endswith(f":{text}") for arn in strings(allow))]
        if allow.get("redrivePermission") != "byQueue" or not named:
            complaints.append(f"{source}: its dead-letter queue does not allow it by name")
    return complaints


def tables_are_recoverable_and_encrypted(template):
    """On-demand billing, point-in-time recovery, encryption, and retention after the stack is deleted."""
    complaints = []
    tables = resources_of_type(template, "AWS::DynamoDB::Table")
    for name, table in tables.items():
        checks = {
            "on-demand billing": table.get("BillingMode") == "PAY_PER_REQUEST",
            "point-in-time recovery": table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is True,
            "encryption": table.get("SSESpecification", {}).get("SSEEnabled") is True,
            "DeletionPolicy Retain": template["Resources"][name].get("DeletionPolicy") == "Retain",
        }
        complaints += [f"{name}: lacks {what}" for what, holds in checks.items() if not holds]
    return complaints if tables else ["the template has no table"]


def build_features(binary):
    """Returns the features with which cargo lambda builds a binary of this workspace."""
    for manifest in map(tomllib.loads, (path.read_text() for path in ROOT.glob("services/*/Cargo.toml"))):
        if binary == manifest["package"]["name"]:
            return manifest["package"].get("metadata", {}).get("lambda", {}).get("build", {}).get("features", [])
    return []


def function_is_built_for_its_variables(template):
    """A function has the cargo features that its variables need. Otherwise it does not start, or a variable has no effect."""
    complaints = []
    for name, function in functions(template).items():
        binary = template["Resources"][name].get("Metadata", {}).get("BuildProperties", {}).get("Binary")
        features = build_features(binary)
        complaints += [
            f"{name}: {variable} is set, but {binary} is not built with the feature {feature}"
            for variable, feature in FEATURES.items()
            if variable in variables(function) and feature not in features
        ]
    return complaints


def function_may_use_what_its_variables_name(template):
    """The function has a table, and its role allows the calls that its variables cause."""
    complaints = []
    for name, function in functions(template).items():
        named = variables(function)
        if "TABLE_NAME" not in named:
            complaints.append(f"{name}: TABLE_NAME is not set")
        for variable, action in (
            ("TABLE_NAME", "dynamodb:PutItem"),
            ("BATON_DEAD_LETTER_QUEUE_URL", "sqs:SendMessage"),
            ("OTEL_EXPORTER_OTLP_HEADERS_SECRET", "secretsmanager:GetSecretValue"),
        ):
            if variable in named and not allows(template, function.get("Role"), action, named[variable]):
                complaints.append(f"{name}: its role does not allow {action} on {named[variable]}")
    return complaints


def allows(template, role, action, resource):
    """Returns whether a role allows an action on a resource, which is given by reference or ARN."""
    return any(
        owner == target(role)
        and statement["Effect"] == "Allow"
        and action in as_list(statement.get("Action"))
        and resource_name(resource) in map(resource_name, as_list(statement.get("Resource")))
        for owner, statement in statements(template)
    )


def resource_name(reference):
    """Returns the logical name of a resource, or its ARN."""
    return target(reference) or reference


def keys_are_not_in_variables(template):
    """No variable contains a key, because everyone who may read the configuration of a function sees its variables."""
    complaints = [
        f"{name}: OTEL_EXPORTER_OTLP_HEADERS contains the key"
        for name, function in functions(template).items()
        if "OTEL_EXPORTER_OTLP_HEADERS" in variables(function)
    ]
    dynamic = [text for text in strings(template["Resources"]) if "{{resolve:" in text]
    return complaints + [f"{text}: CloudFormation replaces it with the secret, which is then in the configuration" for text in dynamic]


def function_without_an_endpoint_exports_nothing(template):
    """Without an endpoint, telemetry would go to a collector on localhost, which a function does not have."""
    return [
        f"{name}: {exporter} is {variables(function).get(exporter)} without an endpoint"
        for name, function in functions(template).items()
        if "OTEL_EXPORTER_OTLP_ENDPOINT" not in variables(function)
        for exporter in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
        if variables(function).get(exporter) != "none"
    ]


def coralogix_receives_no_deltas(template):
    """Coralogix discards deltas. A collector converts them, so only a function that exports directly must send cumulative metrics."""
    complaints = []
    for name, function in functions(template).items():
        endpoint = variables(function).get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        found = variables(function).get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
        if ".coralogix.com" in endpoint and found != "cumulative":
            complaints.append(f"{name}: exports {found} values to {endpoint}, expected cumulative ones")
    return complaints


def alarms(template):
    """Returns the alarms by logical name."""
    return resources_of_type(template, "AWS::CloudWatch::Alarm")


def watched_metrics(alarm):
    """Returns the namespaces and names of the metrics that an alarm watches, directly or in an expression."""
    parts = [part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part]
    return [(part.get("Namespace"), part.get("MetricName")) for part in parts or [alarm]]


# Alarms that must be raised if their metric is missing, because it is missing if no task runs.
MISSING_DATA_IS_A_FAULT = {"RunningTasksAlarm"}

# Minimum length of a description: a shorter one cannot say what is wrong and what to do about it.
SHORTEST_DESCRIPTION = 80


def alarms_say_what_to_do(template):
    """Each alarm has a description that says what to do, and sends a notification when it starts and when it ends."""
    complaints = []
    for name, alarm in alarms(template).items():
        if len(alarm.get("AlarmDescription", "")) < SHORTEST_DESCRIPTION:
            complaints.append(f"{name}: its description does not say what is wrong and what to do")
        if alarm.get("AlarmActions") != alarm.get("OKActions"):
            complaints.append(f"{name}: does not notify the same topic when it starts and when it ends")
        missing = "breaching" if name in MISSING_DATA_IS_A_FAULT else "notBreaching"
        if alarm.get("TreatMissingData") != missing:
            complaints.append(f"{name}: TreatMissingData is {alarm.get('TreatMissingData')}, expected {missing}")
    return complaints


def alarms_watch_the_alias(template):
    """Alarms watch the alias, because an alarm that rolls back a deployment must watch the new version."""
    aliases = [alias["Name"] for alias in resources_of_type(template, "AWS::Lambda::Alias").values()]
    complaints = []
    for name, alarm in alarms(template).items():
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions", [])}
        if "FunctionName" not in dimensions:
            continue
        resource = str(dimensions.get("Resource", ""))
        if not any(resource.endswith(f":{alias}") for alias in aliases):
            complaints.append(f"{name}: watches {resource or 'all versions'} instead of the alias")
    return complaints


def replaced_versions_stay(template):
    """Versions of a function stay when another version replaces them: rolling back needs them."""
    policies = ("DeletionPolicy", "UpdateReplacePolicy")
    return [
        f"{name}: {policy} is {resource.get(policy)}, expected Retain"
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Version"
        for policy in policies
        if resource.get(policy) != "Retain"
    ]


def everything_is_watched(template):
    """Each deployed part of the pipeline has an alarm for each of its faults."""
    wanted = {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("AWS/Lambda", "Duration"),
        ("AWS/Lambda", "FailedInvokeEventCount"),
        ("Baton", "SpansSpilled"),
        ("Baton", "SpansDropped"),
    }
    if resources_of_type(template, "AWS::ECS::Service"):
        wanted |= {
            ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"),
            ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"),
            ("AWS/ApplicationELB", "TargetResponseTime"),
            ("AWS/ApplicationELB", "UnHealthyHostCount"),
            ("AWS/ECS", "CPUUtilization"),
        }
    if resources_of_type(template, "AWS::CloudWatch::MetricStream"):
        wanted.add(("AWS/Firehose", "DeliveryToHttpEndpoint.Success"))
    if any(variables(function).get("BATON_CLOUDWATCH_QUEUE_LATENCY") == "on" for function in functions(template).values()):
        wanted.add(("Baton", "QueueLatency"))
    watched = {metric for alarm in alarms(template).values() for metric in watched_metrics(alarm)}
    return [f"no alarm watches {namespace}/{metric}" for namespace, metric in sorted(wanted - watched)]


def dashboard_shows_what_the_alarms_watch(template):
    """The dashboard is JSON, has no overlapping widgets, and lists every alarm and its metric."""
    complaints = []
    for name, dashboard in resources_of_type(template, "AWS::CloudWatch::Dashboard").items():
        try:
            widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        except ValueError as mistake:
            return [f"{name}: not JSON: {mistake}"]
        shown = list(strings(widgets))
        for alarm, watch in alarms(template).items():
            if f"${{{alarm}.Arn}}" not in shown:
                complaints.append(f"{name}: does not show {alarm}")
            for _, metric in watched_metrics(watch):
                if metric not in shown:
                    complaints.append(f"{name}: does not show {metric}, which {alarm} watches")
        covered = set()
        for widget in widgets:
            x, y, width, height = (widget[key] for key in ("x", "y", "width", "height"))
            cells = {(column, row) for column in range(x, x + width) for row in range(y, y + height)}
            if covered & cells or x + width > 24:
                complaints.append(f"{name}: {widget['properties'].get('title', 'the text')} overlaps another widget, or is too wide")
            covered |= cells
    return complaints


def services_roll_back(template):
    """A deployment whose tasks do not start is rolled back, and no task stops before its replacement runs."""
    complaints = []
    for name, service in resources_of_type(template, "AWS::ECS::Service").items():
        configuration = service.get("DeploymentConfiguration", {})
        if configuration.get("DeploymentCircuitBreaker") != {"Enable": True, "Rollback": True}:
            complaints.append(f"{name}: has no circuit breaker that rolls back")
        if configuration.get("MinimumHealthyPercent", 0) < 100:
            complaints.append(f"{name}: may run fewer tasks during a deployment")
    return complaints


def target_groups_ask_for_readiness(template):
    """Target groups request `/readyz`, which fails as soon as a task stops. Requests can finish before deregistration."""
    complaints = []
    for name, group in resources_of_type(template, "AWS::ElasticLoadBalancingV2::TargetGroup").items():
        if group.get("HealthCheckPath") != "/readyz":
            complaints.append(f"{name}: requests {group.get('HealthCheckPath')}, expected /readyz")
        delays = [item["Value"] for item in group.get("TargetGroupAttributes", []) if item["Key"] == "deregistration_delay.timeout_seconds"]
        if not delays or not LONGEST_REQUEST_SECONDS < int(delays[0]) <= 60:
            complaints.append(f"{name}: the deregistration delay is {delays}, expected more than {LONGEST_REQUEST_SECONDS} s and at most 60")
    return complaints


# Default of REQUEST_TIMEOUT.
LONGEST_REQUEST_SECONDS = 15


def public_listeners_encrypt(template):
    """If there is a certificate, requests over plain HTTP are redirected to HTTPS."""
    listeners = resources_of_type(template, "AWS::ElasticLoadBalancingV2::Listener")
    if not any(listener["Protocol"] == "HTTPS" for listener in listeners.values()):
        return []
    return [
        f"{name}: serves plain HTTP"
        for name, listener in listeners.items()
        if listener["Protocol"] == "HTTP" and any(action["Type"] != "redirect" for action in listener["DefaultActions"])
    ]


def collector_configuration_is_that_of_the_files(template):
    """The parameters have the content of the files in `infra/collector` for the backend, and are short enough for their tier."""
    complaints = []
    for name, parameter in resources_of_type(template, "AWS::SSM::Parameter").items():
        file = collector_files(template)[name]
        if yaml.safe_load(parameter["Value"]) != yaml.safe_load((ROOT / f"infra/collector/{file}.yaml").read_text()):
            complaints.append(f"{name}: differs from infra/collector/{file}.yaml; run infra/collector/embed.py")
        if len(parameter["Value"].encode()) > STANDARD_PARAMETER_BYTES:
            complaints.append(f"{name}: is longer than {STANDARD_PARAMETER_BYTES} bytes")
    return complaints


def collector_files(template):
    """Returns the file that each parameter contains. The collector's variables show which backend it has."""
    [task] = resources_of_type(template, "AWS::ECS::TaskDefinition").values()
    names = {variable["Name"] for container in task["ContainerDefinitions"] for variable in container.get("Environment", [])}
    metrics, backend = ("coralogix", "coralogix") if "CORALOGIX_DOMAIN" in names else ("grafana", "otlp")
    return {"CollectorBase": "base", "CollectorSpanMetrics": f"span-metrics-{metrics}", "CollectorBackend": f"backends/{backend}"}


# Maximum size of a parameter in the standard tier (Systems Manager user guide, "Managing parameter
# tiers").
STANDARD_PARAMETER_BYTES = 4096


RULES = [
    one_mapping_joins_queue_and_function,
    visibility_outlasts_the_function,
    failed_messages_are_reported_one_by_one,
    failures_are_counted,
    concurrency_is_limited,
    function_is_arm64_on_al2023,
    function_writes_to_a_log_group_that_expires,
    each_function_has_a_role_of_the_template,
    roles_have_no_wildcards,
    queues_are_encrypted_and_refuse_plain_text,
    poison_ends_in_a_queue_that_keeps_it,
    tables_are_recoverable_and_encrypted,
    function_is_built_for_its_variables,
    function_may_use_what_its_variables_name,
    keys_are_not_in_variables,
    function_without_an_endpoint_exports_nothing,
    coralogix_receives_no_deltas,
    alarms_say_what_to_do,
    alarms_watch_the_alias,
    replaced_versions_stay,
    everything_is_watched,
    dashboard_shows_what_the_alarms_watch,
    services_roll_back,
    target_groups_ask_for_readiness,
    public_listeners_encrypt,
    collector_configuration_is_that_of_the_files,
]
