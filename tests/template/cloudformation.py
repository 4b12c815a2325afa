"""Reads the SAM template, expands it as AWS does, and lints both forms, without a network or an AWS account."""

import copy
import json
import logging
import os

# The expansion gets the region from boto3, which would otherwise read the user's configuration.
REGION = "eu-central-1"
os.environ["AWS_DEFAULT_REGION"] = REGION

import cfnlint.api  # noqa: E402  (the region must be set before boto3 is imported)
import cfnlint.decode  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

# The expansion logs a warning about its own metrics at its end.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

# Parameters of a deployment. Both are set, so that both conditional values are expanded and
# linted.
PARAMETERS = {
    "OtlpEndpoint": "https://otlp.example.com:443",
    "OtlpHeadersSecretArn": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:baton/headers-AbCdEf",
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
    return transform(packaged, dict(PARAMETERS), ManagedPolicies())


def lint(template):
    """Returns cfn-lint's errors and warnings, one line each."""
    found = cfnlint.api.lint(json.dumps(template), regions=[REGION])
    return [f"{match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}" for match in found]
