"""Reads the SAM template, expands it as AWS does, and lints both forms. Needs no network and no AWS account."""

import copy
import json
import logging
import os

# The expansion asks boto3 for a region; without this it would look for one in the user's own
# configuration.
REGION = "eu-central-1"
os.environ["AWS_DEFAULT_REGION"] = REGION

import cfnlint.api  # noqa: E402  (the region has to be set before boto3 is imported)
import cfnlint.decode  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

# The expansion warns at its end that it counted itself and told nobody.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

# What a deployment passes. Both switches are on, so that both conditional values are expanded and
# linted.
PARAMETERS = {
    "OtlpEndpoint": "https://otlp.example.com:443",
    "OtlpHeadersSecretArn": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:baton/headers-AbCdEf",
}


class ManagedPolicies:
    """Stands in for the loader that would list AWS's managed policies over the network."""

    def load(self):
        """The template names no managed policy, so there is none to look up."""
        return {}


def read(path):
    """The template as plain dictionaries, its short tags (`!Ref`) in their long form."""
    template, mistakes = cfnlint.decode.decode(str(path))
    if mistakes:
        raise SystemExit(f"{path} is not a CloudFormation template: {mistakes[0].message}")
    return json.loads(json.dumps(template))


def expand(template):
    """What CloudFormation deploys: SAM's resources turned into plain ones."""
    packaged = copy.deepcopy(template)
    for resource in packaged["Resources"].values():
        # `sam package` uploads the code and writes this address; the expansion refuses a local
        # folder.
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"
    return transform(packaged, dict(PARAMETERS), ManagedPolicies())


def lint(template):
    """cfn-lint's errors and warnings, one line each."""
    found = cfnlint.api.lint(json.dumps(template), regions=[REGION])
    return [f"{match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}" for match in found]
