"""Rules that cfn-lint does not have, about relations between resources. Each returns its complaints."""

import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The cargo feature that the function needs if a table is set; it does not start otherwise.
TABLE_FEATURE = "dynamodb"

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


def number(template, value):
    """Returns a number that is given directly or in the template's mappings."""
    if isinstance(value, dict) and "Fn::FindInMap" in value:
        mapping, first, second = value["Fn::FindInMap"]
        return template["Mappings"][mapping][first][second]
    return value


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


def mappings(template):
    """Yields each event source mapping with its function and its queue."""
    functions = resources_of_type(template, "AWS::Lambda::Function")
    queues = resources_of_type(template, "AWS::SQS::Queue")
    for name, mapping in resources_of_type(template, "AWS::Lambda::EventSourceMapping").items():
        yield name, mapping, functions.get(target(mapping["FunctionName"])), queues.get(target(mapping["EventSourceArn"]))


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
        window = number(template, mapping.get("MaximumBatchingWindowInSeconds", 0))
        least = VISIBILITY_PER_TIMEOUT * number(template, function["Timeout"]) + window
        visibility = number(template, queue["VisibilityTimeout"])
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
    for name, function in resources_of_type(template, "AWS::Lambda::Function").items():
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
        for name, function in resources_of_type(template, "AWS::Lambda::Function").items()
        if "RetentionInDays" not in groups.get(target(function.get("LoggingConfig", {}).get("LogGroup")), {})
    ]


def statements(template):
    """Yields each statement of every role and managed policy in the template."""
    for name, role in resources_of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            yield from ((name, statement) for statement in as_list(policy["PolicyDocument"]["Statement"]))
    for name, policy in resources_of_type(template, "AWS::IAM::ManagedPolicy").items():
        yield from ((name, statement) for statement in as_list(policy["PolicyDocument"]["Statement"]))


def roles_have_no_wildcards(template):
    """No wildcard in an action or a resource, and no policy managed by AWS, because those contain wildcards."""
    complaints = [
        f"{name}: attaches {policy}"
        for name, role in resources_of_type(template, "AWS::IAM::Role").items()
        for policy in role.get("ManagedPolicyArns", [])
    ]
    for name, statement in statements(template):
        for key in ("NotAction", "NotResource"):
            if key in statement:
                complaints.append(f"{name}: {key} allows everything that it does not name")
        for key in ("Action", "Resource"):
            wild = [text for text in strings(statement.get(key)) if "*" in text]
            complaints += [f"{name}: {key} {text} contains a wildcard" for text in wild]
    return complaints


def each_function_has_a_role_of_the_template(template):
    """SAM would create a role that allows reading every queue."""
    roles = resources_of_type(template, "AWS::IAM::Role")
    return [
        f"{name}: its role is not defined in the template"
        for name, function in resources_of_type(template, "AWS::Lambda::Function").items()
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


def function_can_write_to_its_table(template):
    """A function has the table's name, the feature that uses it, and permission to put items."""
    complaints, has_table = [], False
    for name, function in resources_of_type(template, "AWS::Lambda::Function").items():
        table = target(function.get("Environment", {}).get("Variables", {}).get("TABLE_NAME"))
        if table not in resources_of_type(template, "AWS::DynamoDB::Table"):
            continue
        has_table = True
        role = target(function.get("Role"))
        allowed = [
            statement
            for owner, statement in statements(template)
            if owner == role and "dynamodb:PutItem" in as_list(statement.get("Action")) and target(statement.get("Resource")) == table
        ]
        if not any(statement["Effect"] == "Allow" for statement in allowed):
            complaints.append(f"{name}: its role does not allow dynamodb:PutItem on {table}")
        binary = template["Resources"][name].get("Metadata", {}).get("BuildProperties", {}).get("Binary")
        if TABLE_FEATURE not in build_features(binary):
            complaints.append(f"{name}: {binary} is not built with the feature {TABLE_FEATURE}")
    return complaints if has_table else ["no function has the name of the table"]


def header_values_come_from_a_secret(template):
    """`OTEL_EXPORTER_OTLP_HEADERS` contains a key, so its value must be a dynamic reference."""
    complaints = []
    for name, function in resources_of_type(template, "AWS::Lambda::Function").items():
        value = function.get("Environment", {}).get("Variables", {}).get("OTEL_EXPORTER_OTLP_HEADERS", {})
        alternatives = value["Fn::If"][1:] if isinstance(value, dict) and "Fn::If" in value else [value]
        for alternative in alternatives:
            absent = alternative in ({}, {"Ref": "AWS::NoValue"})
            if not absent and not any(text.startswith("{{resolve:secretsmanager:") for text in strings(alternative)):
                complaints.append(f"{name}: OTEL_EXPORTER_OTLP_HEADERS is a plain value")
    return complaints


def function_without_an_endpoint_exports_nothing(template):
    """Without an endpoint, traces and metrics would go to a collector on localhost, which a function does not have."""
    wanted = {"Fn::If": ["HasOtlpEndpoint", "otlp", "none"]}
    complaints = []
    for name, function in resources_of_type(template, "AWS::Lambda::Function").items():
        variables = function.get("Environment", {}).get("Variables", {})
        for exporter in ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"):
            if variables.get(exporter) != wanted:
                complaints.append(f"{name}: {exporter} does not depend on the endpoint")
    return complaints


RULES = [
    one_mapping_joins_queue_and_function,
    visibility_outlasts_the_function,
    failed_messages_are_reported_one_by_one,
    concurrency_is_limited,
    function_is_arm64_on_al2023,
    function_writes_to_a_log_group_that_expires,
    each_function_has_a_role_of_the_template,
    roles_have_no_wildcards,
    queues_are_encrypted_and_refuse_plain_text,
    poison_ends_in_a_queue_that_keeps_it,
    tables_are_recoverable_and_encrypted,
    function_can_write_to_its_table,
    header_values_come_from_a_secret,
    function_without_an_endpoint_exports_nothing,
]
