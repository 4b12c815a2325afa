"""Reads the SAM template, expands and resolves it as AWS does, and lints it, without a network or an AWS account."""

import copy
import json
import logging
import os
import re

# The expansion gets the region from boto3, which would otherwise read the user's configuration.
REGION = "eu-central-1"
os.environ["AWS_DEFAULT_REGION"] = REGION

import cfnlint.api  # noqa: E402  (the region must be set before boto3 is imported)
import cfnlint.decode  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

# The expansion logs a warning about its own metrics at its end.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

ACCOUNT = "123456789012"

# Pseudo parameters. Values that AWS chooses for resources are not among them, so a reference to a
# resource stays a reference.
PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "baton",
    "AWS::URLSuffix": "amazonaws.com",
}

# Parameters with which all resources of the template exist.
EVERYTHING = {
    "OtlpEndpoint": "https://otlp.example.com:443",
    "OtlpHeadersSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:baton/headers-AbCdEf",
    "LogsExporter": "otlp",
    "ResourceAttributes": "team=onboarding",
    "CxApplicationName": "onboarding",
    "ProducerImage": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/baton/onboarding-api:0.1.0",
    "VpcId": "vpc-0123456789abcdef0",
    "LoadBalancerSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "TaskSubnetIds": "subnet-0123456789abcdef2,subnet-0123456789abcdef3",
    "CertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/12345678-1234-1234-1234-123456789012",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
    "QueueLatencyLimit": "60000",
    "MetricStreamEndpoint": "https://ingress.example.com/aws/firehose",
    "MetricStreamSecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:baton/metrics-AbCdEf",
}


class ManagedPolicies:
    """Replaces the loader that lists AWS's managed policies over the network."""

    def load(self):
        """Returns no policies, because the template does not name any."""
        return {}


def read(path):
    """Returns the template as plain dictionaries, with the short tags (`!Ref`) in long form."""
    template, mistakes = cfnlint.decode.decode(str(path))
    if mistakes:
        raise SystemExit(f"{path} is not a CloudFormation template: {mistakes[0].message}")
    return json.loads(json.dumps(template))


def expand(template):
    """Returns the template that CloudFormation deploys, with SAM's resources expanded."""
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        # `sam package` uploads the code and writes this address; the expansion refuses a local
        # folder.
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"
    return transform(packaged, dict(EVERYTHING), ManagedPolicies())


def lint(template):
    """Returns cfn-lint's errors and warnings, one line each."""
    found = cfnlint.api.lint(json.dumps(template), regions=[REGION])
    return [f"{match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}" for match in found]


# Rules that hold for the template as it is written: SAM replaces some parameters with their values,
# and copies the function's update policy to all resources that it makes for it.
RULES_OF_THE_SOURCE = ("W2001", "W3011")


def lint_expanded(template):
    """Returns the complaints of cfn-lint about an expanded template."""
    return [complaint for complaint in lint(template) if not complaint.startswith(RULES_OF_THE_SOURCE)]


class Absent:
    """Value of `AWS::NoValue`, which removes a member or an element."""


class Resolver:
    """Evaluates a template as CloudFormation does, with values for its parameters."""

    def __init__(self, template, parameters, resources):
        """Takes the parameters that differ from their defaults, and values that AWS would choose for resources."""
        declared = template.get("Parameters", {})
        unknown = sorted(set(parameters) - set(declared))
        if unknown:
            raise ValueError(f"the template has no parameter {unknown[0]}")
        self.template = template
        self.values = PSEUDO_PARAMETERS | resources
        for name, parameter in declared.items():
            text = str(parameters.get(name, parameter.get("Default", "")))
            self.values[name] = self.typed(parameter["Type"], text)

    @staticmethod
    def typed(kind, text):
        """Returns the value that a reference to a parameter of this type has."""
        if kind == "Number":
            return int(text)
        return text.split(",") if kind == "CommaDelimitedList" else text

    def holds(self, condition):
        """Returns whether a named condition holds."""
        return self.value(self.template["Conditions"][condition])

    def value(self, expression):
        """Evaluates the intrinsic functions in a value, except references to resources."""
        if isinstance(expression, list):
            items = [self.value(item) for item in expression]
            return [item for item in items if item is not Absent]
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            (function, argument), *_ = expression.items()
            if function == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            compute = self.FUNCTIONS.get(function)
            if compute:
                return compute(self, argument)
        members = {key: self.value(member) for key, member in expression.items()}
        return {key: member for key, member in members.items() if member is not Absent}

    def reference(self, name):
        """`Ref`: the value of a parameter, or a reference to a resource."""
        return Absent if name == "AWS::NoValue" else self.values.get(name, {"Ref": name})

    def choice(self, argument):
        """`Fn::If`."""
        condition, then, otherwise = argument
        return self.value(then if self.holds(condition) else otherwise)

    def equal(self, argument):
        """`Fn::Equals`, which compares strings."""
        left, right = (self.value(side) for side in argument)
        return str(left) == str(right)

    def mapped(self, argument):
        """`Fn::FindInMap`."""
        mapping, first, second = self.value(argument)
        return self.template["Mappings"][mapping][str(first)][second]

    def joined(self, argument):
        """`Fn::Join`. References to resources in it become text."""
        separator, items = argument
        return separator.join(text(item) for item in self.value(items))

    def substituted(self, argument):
        """`Fn::Sub`, with or without its own variables. References to resources in it become text."""
        pattern, own = argument if isinstance(argument, list) else (argument, {})
        values = self.values | self.value(own)
        return re.sub(r"\$\{([^!}][^}]*)\}", lambda found: text(values.get(found[1], found[0])), pattern)

    FUNCTIONS = {
        "Ref": reference,
        "Fn::If": choice,
        "Fn::Equals": equal,
        "Fn::Not": lambda self, argument: not self.value(argument[0]),
        "Fn::And": lambda self, argument: all(map(self.value, argument)),
        "Fn::Or": lambda self, argument: any(map(self.value, argument)),
        "Fn::FindInMap": mapped,
        "Fn::Join": joined,
        "Fn::Sub": substituted,
    }


def text(value):
    """Returns a value as a part of a string."""
    if isinstance(value, dict):
        (_, name), *_ = value.items()
        return "${" + (name if isinstance(name, str) else ".".join(name)) + "}"
    return ",".join(value) if isinstance(value, list) else str(value)


def resolve(template, parameters, resources=None):
    """Returns the expanded template with only the resources that exist with these parameters, and with their values.

    `resources` maps resources to values of `Ref`. A reference to any other resource stays a reference.
    """
    resolver = Resolver(template, parameters, resources or {})
    existing = {
        name: {key: resolver.value(part) for key, part in resource.items() if key != "Condition"}
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or resolver.holds(resource["Condition"])
    }
    return {**template, "Resources": existing}
