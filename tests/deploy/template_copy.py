"""Prints template.yaml without the parts that the emulator does not support.

    template_copy.py TEMPLATE
"""

import pathlib
import platform
import re
import sys

# Resources that the emulator refuses, and their purpose in AWS. The checks do not depend on them.
REFUSED = {
    "ProducerScaling": "changes the number of tasks",
    "ProducerScalingPolicy": "decides when the number changes",
    "LoadBalancerEgress": "lets the load balancer connect to the tasks",
    "MetricStream": "sends CloudWatch's metrics to a backend",
    # Alarms on expressions.
    "ProducerErrorsAlarm": "watches the share of failed responses",
    "ProducerSpansAlarm": "watches the sum of two metrics",
}
# Settings that the emulator expects as numbers.
NUMBERS = {"BatchSize": 10, "MaximumConcurrency": 10}
# The architecture of the machine that builds and runs the function.
ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


def emulated(template, machine):
    """Returns the template for the emulator on a machine with this architecture."""
    for name in REFUSED:
        template = replaced(template, rf"^  {name}:\n(    .*\n|\n)+", "")
    # The emulator does not support CodeDeploy.
    template = replaced(template, r"^      DeploymentPreference:\n(        .*\n)+", "")
    # The emulator expects numbers where CloudFormation passes parameters, which are strings.
    for setting, value in NUMBERS.items():
        template = replaced(template, rf"{setting}: !Ref \w+$", f"{setting}: {value}")
    return replaced(template, r"^        - arm64$", f"        - {ARCHITECTURES[machine]}")


def replaced(template, pattern, text):
    """Replaces the only match of a pattern."""
    template, found = re.subn(pattern, text, template, flags=re.MULTILINE)
    assert found == 1, f"{pattern} occurs {found} times in template.yaml, expected once"
    return template


if __name__ == "__main__":
    print(emulated(pathlib.Path(sys.argv[1]).read_text(), platform.machine()), end="")
