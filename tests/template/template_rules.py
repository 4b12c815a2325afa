"""What cfn-lint cannot know: how the template's resources have to fit together. Each rule returns its complaints."""

import pathlib
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The cargo feature without which the function does not start when it is told a table.
TABLE_FEATURE = "dynamodb"

# AWS's advice for a queue that Lambda consumes: a throttled batch is retried this many timeouts
# long.
VISIBILITY_PER_TIMEOUT = 6

# Below two the event source mapping refuses the value; without one a burst takes the account's
# whole concurrency.
SMALLEST_MAXIMUM_CONCURRENCY = 2


def of_type(template, kind):
    """Logical names and properties of all resources of one type."""
    resources = template["Resources"].items()
    return {name: item.get("Properties", {}) for name, item in resources if item["Type"] == kind}


def target(reference):
    """The logical name behind `Ref` or `Fn::GetAtt`, or nothing."""
    if not isinstance(reference, dict):
        return None
    attribute = reference.get("Fn::GetAtt", [None])
    return reference.get("Ref") or (attribute.split(".")[0] if isinstance(attribute, str) else attribute[0])


def number(template, value):
    """A number written in place or in the template's mappings."""
    if isinstance(value, dict) and "Fn::FindInMap" in value:
        mapping, first, second = value["Fn::FindInMap"]
        return template["Mappings"][mapping][first][second]
    return value


def as_list(value):
    """IAM takes one string where it takes a list of them."""
    return value if isinstance(value, list) else [value]


def strings(value):
    """Every string anywhere inside a value."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value] if isinstance(value, str) else []


def mappings(template):
    """Each event source mapping with the function and the queue it joins."""
    functions = of_type(template, "AWS::Lambda::Function")
    queues = of_type(template, "AWS::SQS::Queue")
    for name, mapping in of_type(template, "AWS::Lambda::EventSourceMapping").items():
        yield name, mapping, functions.get(target(mapping["FunctionName"])), queues.get(target(mapping["EventSourceArn"]))


def one_mapping_joins_queue_and_function(template):
    """Without it nothing is consumed, and every rule about mappings would hold of none."""
    joined = [name for name, _, function, queue in mappings(template) if function and queue]
    return [] if len(joined) == 1 else [f"expected one event source mapping from a queue to a function here, found {joined}"]


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
            complaints.append(f"{name}: the queue's visibility is {visibility} s, at least {least} s are needed")
    return complaints


def failed_messages_are_reported_one_by_one(template):
    """`ReportBatchItemFailures`, or AWS deletes what failed."""
    return [
        f"{name}: FunctionResponseTypes is {mapping.get('FunctionResponseTypes')}"
        for name, mapping, _, _ in mappings(template)
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]
    ]


def concurrency_is_limited(template):
    """The mapping has a ceiling of its own."""
    return [
        f"{name}: ScalingConfig is {mapping.get('ScalingConfig')}"
        for name, mapping, _, _ in mappings(template)
        if mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 0) < SMALLEST_MAXIMUM_CONCURRENCY
    ]


def function_is_arm64_on_al2023(template):
    """What the build makes is what the function runs on."""
    complaints = []
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        for key, wanted in (("Runtime", "provided.al2023"), ("Architectures", ["arm64"]), ("Handler", "bootstrap")):
            if function.get(key) != wanted:
                complaints.append(f"{name}: {key} is {function.get(key)}, expected {wanted}")
        metadata = template["Resources"][name].get("Metadata", {})
        if metadata.get("BuildMethod") != "rust-cargolambda" or "Binary" not in metadata.get("BuildProperties", {}):
            complaints.append(f"{name}: is not built by rust-cargolambda from a named binary")
    return complaints


def function_writes_to_a_log_group_that_expires(template):
    """A log group that Lambda makes by itself is kept, and paid for, for ever."""
    groups = of_type(template, "AWS::Logs::LogGroup")
    return [
        f"{name}: has no log group with RetentionInDays"
        for name, function in of_type(template, "AWS::Lambda::Function").items()
        if "RetentionInDays" not in groups.get(target(function.get("LoggingConfig", {}).get("LogGroup")), {})
    ]


def statements(template):
    """Each statement of every role and managed policy in the template."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            yield from ((name, statement) for statement in as_list(policy["PolicyDocument"]["Statement"]))
    for name, policy in of_type(template, "AWS::IAM::ManagedPolicy").items():
        yield from ((name, statement) for statement in as_list(policy["PolicyDocument"]["Statement"]))


def roles_name_what_they_may_touch(template):
    """No wildcard in an action or a resource, and no policy of AWS's, which are full of them."""
    complaints = [
        f"{name}: attaches {policy}"
        for name, role in of_type(template, "AWS::IAM::Role").items()
        for policy in role.get("ManagedPolicyArns", [])
    ]
    for name, statement in statements(template):
        for key in ("NotAction", "NotResource"):
            if key in statement:
                complaints.append(f"{name}: {key} allows all but the ones it names")
        for key in ("Action", "Resource"):
            wild = [text for text in strings(statement.get(key)) if "*" in text]
            complaints += [f"{name}: {key} {text} is a wildcard" for text in wild]
    return complaints


def each_function_has_a_role_of_the_template(template):
    """SAM would make one that may read every queue."""
    roles = of_type(template, "AWS::IAM::Role")
    return [
        f"{name}: its role is not written in the template"
        for name, function in of_type(template, "AWS::Lambda::Function").items()
        if target(function.get("Role")) not in roles
    ]


def denies_without_tls(statement):
    """Whether a queue policy's statement refuses every plain-text request."""
    condition = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    everyone = statement.get("Principal") == "*" and statement.get("Action") == "sqs:*"
    return statement["Effect"] == "Deny" and everyone and condition == "false"


def queues_are_encrypted_and_refuse_plain_text(template):
    """SSE at rest, TLS on the way."""
    refusing = {
        target(statement["Resource"])
        for policy in of_type(template, "AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if denies_without_tls(statement) and target(statement["Resource"]) in map(target, policy["Queues"])
    }
    queues = of_type(template, "AWS::SQS::Queue")
    plain = [f"{name}: SqsManagedSseEnabled is not set" for name, queue in queues.items() if queue.get("SqsManagedSseEnabled") is not True]
    return plain + [f"{name}: no policy denies requests without TLS" for name in queues if name not in refusing]


def poison_ends_in_a_queue_that_keeps_it(template):
    """Every consumed queue redrives into another, which allows just that one and keeps messages longer."""
    complaints = []
    queues = of_type(template, "AWS::SQS::Queue")
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
    """On demand, point-in-time recovery, SSE, and kept when the stack goes."""
    complaints = []
    tables = of_type(template, "AWS::DynamoDB::Table")
    for name, table in tables.items():
        checks = {
            "on-demand billing": table.get("BillingMode") == "PAY_PER_REQUEST",
            "point-in-time recovery": table.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is True,
            "encryption": table.get("SSESpecification", {}).get("SSEEnabled") is True,
            "DeletionPolicy Retain": template["Resources"][name].get("DeletionPolicy") == "Retain",
        }
        complaints += [f"{name}: lacks {what}" for what, holds in checks.items() if not holds]
    return complaints if tables else ["there is no table"]


def features_of(binary):
    """The features that cargo lambda builds a binary of this workspace with."""
    for manifest in map(tomllib.loads, (path.read_text() for path in ROOT.glob("services/*/Cargo.toml"))):
        if binary == manifest["package"]["name"]:
            return manifest["package"].get("metadata", {}).get("lambda", {}).get("build", {}).get("features", [])
    return []


def function_can_write_to_its_table(template):
    """It is told the table, built with the feature that uses it, and allowed to put items there."""
    complaints, told = [], False
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        table = target(function.get("Environment", {}).get("Variables", {}).get("TABLE_NAME"))
        if table not in of_type(template, "AWS::DynamoDB::Table"):
            continue
        told = True
        role = target(function.get("Role"))
        allowed = [
            statement
            for owner, statement in statements(template)
            if owner == role and "dynamodb:PutItem" in as_list(statement.get("Action")) and target(statement.get("Resource")) == table
        ]
        if not any(statement["Effect"] == "Allow" for statement in allowed):
            complaints.append(f"{name}: its role does not allow dynamodb:PutItem on {table}")
        binary = template["Resources"][name].get("Metadata", {}).get("BuildProperties", {}).get("Binary")
        if TABLE_FEATURE not in features_of(binary):
            complaints.append(f"{name}: {binary} is not built with the feature {TABLE_FEATURE}")
    return complaints if told else ["no function is told the name of the table"]


def header_values_come_from_a_secret(template):
    """`OTEL_EXPORTER_OTLP_HEADERS` carries a key: only a dynamic reference may stand there."""
    complaints = []
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        value = function.get("Environment", {}).get("Variables", {}).get("OTEL_EXPORTER_OTLP_HEADERS", {})
        alternatives = value["Fn::If"][1:] if isinstance(value, dict) and "Fn::If" in value else [value]
        for alternative in alternatives:
            absent = alternative in ({}, {"Ref": "AWS::NoValue"})
            if not absent and not any(text.startswith("{{resolve:secretsmanager:") for text in strings(alternative)):
                complaints.append(f"{name}: OTEL_EXPORTER_OTLP_HEADERS is written out")
    return complaints


def function_without_an_endpoint_exports_nothing(template):
    """Traces and metrics would go to a collector on localhost, which a function has not."""
    wanted = {"Fn::If": ["HasOtlpEndpoint", "otlp", "none"]}
    complaints = []
    for name, function in of_type(template, "AWS::Lambda::Function").items():
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
    roles_name_what_they_may_touch,
    queues_are_encrypted_and_refuse_plain_text,
    poison_ends_in_a_queue_that_keeps_it,
    tables_are_recoverable_and_encrypted,
    function_can_write_to_its_table,
    header_values_come_from_a_secret,
    function_without_an_endpoint_exports_nothing,
]
