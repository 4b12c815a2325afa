#!/usr/bin/env python3
"""Prints the costs of the stack of template.yaml, as the tables of docs/costs.md.

Without options, prints all tables of the page, for the template's defaults. Needs Python 3.9 and
nothing else.
"""

import argparse
import signal
from dataclasses import dataclass, replace
from math import ceil

# ---- prices --------------------------------------------------------------------------------------

REGION = "us-east-1"
# List prices in USD without free tiers and volume discounts, looked up on 2026-11-30: the price,
# the number of units that it is for, and the name of the unit.
PRICES = {
    "lambda request": ("0.20", 1e6, "million requests"),
    "lambda": ("0.0000133334", 1, "GB-second (arm64)"),
    "sqs": ("0.40", 1e6, "million requests of up to 64 KB"),
    "write": ("0.625", 1e6, "million writes of up to 1 KB"),
    "table": ("0.25", 1, "GB-month"),
    "table backup": ("0.20", 1, "GB-month of point-in-time recovery"),
    "log": ("0.50", 1, "GB of log lines"),
    "log storage": ("0.03", 1, "GB-month of compressed log lines"),
    "alarm": ("0.10", 1, "alarm and month"),
    "dashboard": ("3.00", 1, "dashboard and month"),
    "metric": ("0.30", 1, "custom metric and month"),
    "metric update": ("0.003", 1e3, "1,000 updates in a metric stream"),
    "firehose": ("0.029", 1, "GB"),
    "secret": ("0.40", 1, "secret and month"),
    "vcpu": ("0.03238", 1, "vCPU-hour (ARM)"),
    "task memory": ("0.00356", 1, "GB-hour (ARM)"),
    "load balancer": ("0.0225", 1, "hour"),
    "lcu": ("0.008", 1, "LCU-hour"),
    "nat": ("0.045", 1, "hour"),
    "nat data": ("0.045", 1, "GB"),
    "endpoint": ("0.01", 1, "hour and zone"),
    "endpoint data": ("0.01", 1, "GB"),
    "address": ("0.005", 1, "hour"),
    "internet": ("0.09", 1, "GB to the internet"),
}
# The rows of the table of prices: the service, its prices above, and AWS's page with the price.
SERVICES = [
    ("Lambda", ["lambda request", "lambda"], "https://aws.amazon.com/lambda/pricing/"),
    ("SQS, standard queue", ["sqs"], "https://aws.amazon.com/sqs/pricing/"),
    ("DynamoDB, on demand", ["write", "table", "table backup"], "https://aws.amazon.com/dynamodb/pricing/on-demand/"),
    ("CloudWatch Logs", ["log", "log storage"], "https://aws.amazon.com/cloudwatch/pricing/"),
    ("CloudWatch", ["alarm", "dashboard", "metric", "metric update"], "https://aws.amazon.com/cloudwatch/pricing/"),
    ("Firehose", ["firehose"], "https://aws.amazon.com/firehose/pricing/"),
    ("Secrets Manager", ["secret"], "https://aws.amazon.com/secrets-manager/pricing/"),
    ("Fargate", ["vcpu", "task memory"], "https://aws.amazon.com/fargate/pricing/"),
    ("Application Load Balancer", ["load balancer", "lcu"], "https://aws.amazon.com/elasticloadbalancing/pricing/"),
    ("NAT gateway", ["nat", "nat data"], "https://aws.amazon.com/vpc/pricing/"),
    ("Interface endpoint", ["endpoint", "endpoint data"], "https://aws.amazon.com/privatelink/pricing/"),
    ("Public IPv4 address", ["address"], "https://aws.amazon.com/vpc/pricing/"),
    ("Data transfer", ["internet"], "https://aws.amazon.com/ec2/pricing/on-demand/"),
]

# ---- measured values: docs/costs.md has the commands ---------------------------------------------

# CPU time of the onboarding function in milliseconds, its log lines and its requests to the backend
# in bytes. bench/onboarding.py measures them.
CPU_OF_INVOCATION = 0.7
CPU_OF_MESSAGE = 0.15
FUNCTION_LOG_OF_MESSAGE = 344
LATENCY_LOG_OF_LINE = 318
# Four digits and the separator, which is two bytes.
LATENCY_LOG_OF_MESSAGE = 6
OTLP_OF_INVOCATION = 3650
OTLP_OF_MESSAGE = 905
# With OTEL_EXPORTER_OTLP_COMPRESSION=gzip, as in the template: more CPU time, and this share of the
# bytes.
GZIP_CPU_OF_MESSAGE = 0.06
GZIP_SHARE = 0.24
# Bytes of the onboarding API, for each message: its log line, its requests to SQS with the
# responses, and its requests to the collector.
PRODUCER_LOG = 300
PRODUCER_SQS = 1490
PRODUCER_OTLP = 760
# The lines that Lambda itself writes for each invocation, in the log format JSON at level INFO.
PLATFORM_LOG = (
    '{"time":"2026-11-30T08:00:00.000Z","type":"platform.start","record":{'
    '"requestId":"8476a536-e9f4-11e8-9739-2dfe598c3fcd",'
    '"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:baton-OnboardingFunction-0123456789ab:live",'
    '"version":"12"}}\n'
    '{"time":"2026-11-30T08:00:00.000Z","type":"platform.report","record":{'
    '"requestId":"8476a536-e9f4-11e8-9739-2dfe598c3fcd",'
    '"metrics":{"durationMs":41.123,"billedDurationMs":42,"memorySizeMB":256,"maxMemoryUsedMB":30},'
    '"status":"success"}}\n'
)

# ---- values of the template, of Baton and of AWS -------------------------------------------------

MESSAGES = 1_000_000
GB = 2**30
HOURS_OF_MONTH = 730
SECONDS_OF_MONTH = HOURS_OF_MONTH * 3600
DAYS_OF_MONTH = HOURS_OF_MONTH / 24
# Lambda gives a function one virtual processor at this memory, and a share of it below.
MEMORY_OF_PROCESSOR = 1769
# Messages that a function handles at the same time (BATON_CONCURRENCY).
CONCURRENCY = 10
# Maximum number of messages in a request to SQS.
SQS_BATCH = 10
# Connections with which Lambda polls a queue without messages, and the seconds of each poll.
POLLERS = 5
POLL_SECONDS = 20
# Values in one line of the embedded metric format.
LATENCIES_IN_LINE = 100
# Metrics of MetricsConfig: EventCount, for a queue.
MAPPING_METRICS = 5
ALARMS_OF_FUNCTION = 8
ALARMS_OF_PRODUCER = 6
# Interface endpoints that a task in a private subnet needs to start and run: SQS, two of
# ECR, CloudWatch Logs, SSM and Secrets Manager.
ENDPOINTS = 6
TASK_VCPU = 0.5
TASK_MEMORY_GB = 1
# CloudWatch's estimate of the size of stored log lines.
LOG_COMPRESSION = 0.15
# New connections in an LCU, each second.
LCU_CONNECTIONS = 25
# Bytes of an item: up to 200 of attributes, and 100 that DynamoDB adds.
ITEM = 300


@dataclass(frozen=True)
class Deployment:
    """The parameters on which the costs depend. The defaults are those of template.yaml."""

    batch_size: float = 10
    memory: int = 256
    message_rate: float = 10
    sends_per_message: float = 1
    store_ms: float = 5
    export_ms: float = 20
    duration_ms: float = 0
    gzip: bool = True
    retention_days: int = 30
    tasks: int = 2
    zones: int = 2

    def billed_ms(self):
        """Returns the billed duration of an invocation, on the assumption that it does not compute while it waits."""
        if self.duration_ms:
            return ceil(self.duration_ms)
        waiting = ceil(self.batch_size / CONCURRENCY) * self.store_ms + self.export_ms
        computing = CPU_OF_INVOCATION + (CPU_OF_MESSAGE + GZIP_CPU_OF_MESSAGE * self.gzip) * self.batch_size
        # Rounded first, so that an error in the last digit of a sum does not become a millisecond.
        return ceil(round(waiting + computing / min(1, self.memory / MEMORY_OF_PROCESSOR), 6))


def price(name):
    """Returns the price of one unit."""
    amount, units, _ = PRICES[name]
    return float(amount) / units


# ---- costs of a million messages -----------------------------------------------------------------


def invocations(deployment):
    return MESSAGES / deployment.batch_size


def compute(deployment):
    seconds = invocations(deployment) * deployment.billed_ms() / 1000
    return seconds * deployment.memory / 1024 * price("lambda")


def lambda_costs(deployment):
    return invocations(deployment) * price("lambda request") + compute(deployment)


def sends(deployment):
    return MESSAGES * deployment.sends_per_message * price("sqs")


def receives(deployment):
    """Returns the costs of the requests that receive messages and delete them."""
    return 2 * invocations(deployment) * ceil(deployment.batch_size / SQS_BATCH) * price("sqs")


def function_log_gb(deployment):
    return (invocations(deployment) * len(PLATFORM_LOG) + MESSAGES * FUNCTION_LOG_OF_MESSAGE) / GB


def latency_log_gb(deployment):
    lines = invocations(deployment) * ceil(deployment.batch_size / LATENCIES_IN_LINE)
    return (lines * LATENCY_LOG_OF_LINE + MESSAGES * LATENCY_LOG_OF_MESSAGE) / GB


def producer_log_gb():
    return MESSAGES * PRODUCER_LOG / GB


def storage(gb, days):
    return gb * LOG_COMPRESSION * days / DAYS_OF_MONTH * price("log storage")


def logs(gb, deployment):
    return gb * price("log") + storage(gb, deployment.retention_days)


def function_otlp(deployment):
    gb = (invocations(deployment) * OTLP_OF_INVOCATION + MESSAGES * OTLP_OF_MESSAGE) / GB
    return gb * (GZIP_SHARE if deployment.gzip else 1) * price("internet")


def producer_network_gb():
    return MESSAGES * (PRODUCER_SQS + PRODUCER_OTLP + PRODUCER_LOG) / GB


def function_costs(deployment):
    """Returns the costs of the queue, the function and the table."""
    otlp_share = f"{GZIP_SHARE:.0%} of" if deployment.gzip else "all of"
    return [
        ("Lambda: requests", "1 / batch size", invocations(deployment) * price("lambda request")),
        ("Lambda: duration", f"{deployment.billed_ms()} ms × {deployment.memory} MB / batch size", compute(deployment)),
        ("SQS: sends", f"{deployment.sends_per_message:g}", sends(deployment)),
        ("SQS: receives and deletes", "1 of each for up to 10 messages", receives(deployment)),
        ("DynamoDB: writes", "1", MESSAGES * price("write")),
        (
            f"Logs of the function, kept for {deployment.retention_days} days",
            f"{FUNCTION_LOG_OF_MESSAGE} B + {len(PLATFORM_LOG)} B / batch size",
            logs(function_log_gb(deployment), deployment),
        ),
        (
            "Telemetry of the function, to the internet",
            f"{otlp_share} ({OTLP_OF_MESSAGE} B + {OTLP_OF_INVOCATION:,} B / batch size)",
            function_otlp(deployment),
        ),
    ]


def producer_costs(deployment):
    return [
        ("Load balancer", "a new connection", MESSAGES / LCU_CONNECTIONS / 3600 * price("lcu")),
        (
            f"Logs of the producer, kept for {deployment.retention_days} days",
            f"{PRODUCER_LOG} B",
            logs(producer_log_gb(), deployment),
        ),
        (
            "Telemetry of the producer, to the internet",
            f"{PRODUCER_OTLP} B",
            MESSAGES * PRODUCER_OTLP / GB * price("internet"),
        ),
        (
            "NAT gateway: SQS, telemetry, logs",
            f"{PRODUCER_SQS:,} B + {PRODUCER_OTLP} B + {PRODUCER_LOG} B",
            producer_network_gb() * price("nat data"),
        ),
    ]


def total(costs):
    return sum(cost for *_, cost in costs)


# ---- costs of a month ----------------------------------------------------------------------------


def function_month(deployment):
    polls = POLLERS * SECONDS_OF_MONTH / POLL_SECONDS
    return [
        ("SQS: polling without messages", f"{POLLERS} connections, {POLL_SECONDS} s each", polls * price("sqs")),
        ("Alarms", str(ALARMS_OF_FUNCTION), ALARMS_OF_FUNCTION * price("alarm")),
        ("Dashboard", "1", price("dashboard")),
        ("Metrics of the event source mapping", str(MAPPING_METRICS), MAPPING_METRICS * price("metric")),
        ("Secret with the key", "1", price("secret")),
    ]


def producer_month(deployment):
    task = TASK_VCPU * price("vcpu") + TASK_MEMORY_GB * price("task memory")
    return [
        ("Fargate", f"{deployment.tasks} tasks, {TASK_VCPU} vCPU, {TASK_MEMORY_GB} GB", deployment.tasks * task * HOURS_OF_MONTH),
        ("Load balancer", "1", HOURS_OF_MONTH * price("load balancer")),
        ("NAT gateways", f"{deployment.zones} zones", deployment.zones * HOURS_OF_MONTH * price("nat")),
        ("Alarms", str(ALARMS_OF_PRODUCER), ALARMS_OF_PRODUCER * price("alarm")),
    ]


# ---- tables --------------------------------------------------------------------------------------


def usd(amount, digits=2):
    return f"{amount:,.{digits}f}"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def prices_table(_):
    def text(name):
        amount, _, units = PRICES[name]
        return f"{amount} per {units}"

    rows = [[service, "; ".join(map(text, names)), f"<{source}>"] for service, names, source in SERVICES]
    return table(["Service", "USD", "Price list"], rows)


def million_table(deployment):
    function, producer = function_costs(deployment), producer_costs(deployment)
    rows = [[name, each, usd(cost, 3)] for name, each, cost in function]
    rows.append(["**Queue, function and table**", "", f"**{usd(total(function), 3)}**"])
    rows += [[name, each, usd(cost, 3)] for name, each, cost in producer]
    rows.append(["**With the producer**", "", f"**{usd(total(function) + total(producer), 3)}**"])
    return table(["Costs", "For each message", "USD per million"], rows)


def month_table(deployment):
    function, producer = function_month(deployment), producer_month(deployment)
    rows = [[name, count, usd(cost)] for name, count, cost in function]
    rows.append(["**Queue, function and table**", "", f"**{usd(total(function))}**"])
    rows += [[name, count, usd(cost)] for name, count, cost in producer]
    fixed = total(function) + total(producer)
    rows.append(["**With the producer**", "", f"**{usd(fixed)}**"])
    for rate in sorted({1, 10, 100, deployment.message_rate}):
        millions = rate * SECONDS_OF_MONTH / MESSAGES
        rows.append([f"… for each million messages, at {rate:g}/s", f"{millions:.3g} million a month", usd(fixed / millions)])
    return table(["Costs", "Number", "USD a month"], rows)


def batch_table(deployment):
    # A measured duration is that of one batch size only, so all rows are estimates.
    estimated = replace(deployment, duration_ms=0)
    base = total(function_costs(estimated))
    rows = []
    for size in sorted({1, 10, 100, deployment.batch_size}):
        other = replace(estimated, batch_size=size)
        costs = total(function_costs(other))
        sqs = sends(other) + receives(other)
        log = logs(function_log_gb(other), other)
        columns = [lambda_costs(other), sqs, log, function_otlp(other), costs]
        rows.append([f"{size:g}", other.billed_ms(), *(usd(cost, 3) for cost in columns), f"{costs / base:.2f}"])
    return table(["Batch size", "Billed ms", "Lambda", "SQS", "Logs", "Telemetry", "Sum", "Ratio"], rows)


def memory_table(deployment):
    # A measured duration is that of one memory size only, so all rows are estimates.
    estimated = replace(deployment, duration_ms=0)
    base, base_sum = lambda_costs(estimated), total(function_costs(estimated))
    rows = []
    for memory in sorted({128, 256, 512, 1024, deployment.memory}):
        other = replace(estimated, memory=memory)
        costs, costs_sum = lambda_costs(other), total(function_costs(other))
        share = min(1, memory / MEMORY_OF_PROCESSOR)
        row = [memory, f"{share:.2f}", other.billed_ms(), usd(costs, 3), f"{costs / base:.2f}"]
        rows.append([*row, usd(costs_sum, 3), f"{costs_sum / base_sum:.2f}"])
    return table(["Memory (MB)", "Processors", "Billed ms", "Lambda", "Ratio", "Sum", "Ratio"], rows)


def telemetry_table(deployment):
    # The rows are estimates for the settings that they name.
    modelled = replace(deployment, duration_ms=0, gzip=True)
    response = f"{deployment.export_ms:g} ms"
    rows = []
    for setting, responds, other in [
        ("`BATON_FLUSH_POINT=before-response`", response, modelled),
        ("`BATON_FLUSH_POINT=after-response`", response, modelled),
        ("`OTEL_EXPORTER_OTLP_COMPRESSION=none`", response, replace(modelled, gzip=False)),
        ("the default", "2 ms", replace(modelled, export_ms=2)),
        ("the default", "100 ms", replace(modelled, export_ms=100)),
    ]:
        costs = lambda_costs(other), function_otlp(other)
        base = lambda_costs(modelled) + function_otlp(modelled)
        rows.append([setting, responds, other.billed_ms(), *(usd(cost, 3) for cost in costs), f"{sum(costs) / base:.2f}"])
    return table(["Setting", "Backend responds after", "Billed ms", "Lambda", "Transfer", "Ratio"], rows)


def sends_table(deployment):
    base = sends(replace(deployment, sends_per_message=1)) + receives(deployment)
    rows = []
    for title, calls in [
        ("`QueueSender` at 100 messages/s and below, or `SendMessage`", 1),
        ("`QueueSender` at 1,000 messages/s", 0.18),
        ("`QueueSender` at full load, or `SendMessageBatch` with 10 messages", 0.1),
    ]:
        other = replace(deployment, sends_per_message=calls)
        sqs = sends(other) + receives(other)
        rows.append([title, f"{calls:.2f}", usd(sends(other), 3), usd(sqs, 3), f"{sqs / base:.2f}"])
    return table(["Sends", "Requests per message", "Sends, USD", "SQS, USD", "Ratio"], rows)


def network_table(deployment):
    zones, gb = deployment.zones, producer_network_gb()
    gateways = zones * HOURS_OF_MONTH * price("nat")
    endpoint = zones * HOURS_OF_MONTH * price("endpoint")
    sqs_gb = MESSAGES * PRODUCER_SQS / GB
    saved = sqs_gb * (price("nat data") - price("endpoint data"))
    rows = [
        ["public subnets (`AssignPublicIp=ENABLED`)", usd(deployment.tasks * HOURS_OF_MONTH * price("address")), usd(0, 3), "yes"],
        ["NAT gateways", usd(gateways), usd(gb * price("nat data"), 3), "yes"],
        [
            f"NAT gateways and an endpoint for SQS (cheaper above {endpoint / saved:,.0f} million messages a month)",
            usd(gateways + endpoint),
            usd(gb * price("nat data") - saved, 3),
            "yes",
        ],
        [
            f"{ENDPOINTS} interface endpoints, and the one for S3, which is free",
            usd(ENDPOINTS * endpoint),
            usd((gb - MESSAGES * PRODUCER_OTLP / GB) * price("endpoint data"), 3),
            "no",
        ],
    ]
    return table([f"Route out of the VPC, {zones} zones", "USD a month", "USD per million", "Reaches the backend"], rows)


def logs_table(deployment):
    platform = invocations(deployment) * len(PLATFORM_LOG) / GB
    info, latency = function_log_gb(deployment), latency_log_gb(deployment)
    rows = []
    for title, gb in [
        ("level INFO", info),
        ("level INFO, and latencies (`QueueLatencyLimit` above 0)", info + latency),
        ("level WARN: only Lambda's own lines", platform),
    ]:
        rows.append([title, f"{gb:.2f}", usd(gb * price("log"), 3), *(usd(storage(gb, days), 3) for days in (30, 365))])
    return table(["Log of the function", "GB per million", "Ingestion", "Storage, 30 days", "365 days"], rows)


def options_table(deployment):
    updates = HOURS_OF_MONTH * 60
    rows = [
        ["`QueueLatencyLimit`: alarm and metric, besides the log lines", usd(price("alarm") + price("metric"))],
        ["`MetricStreamEndpoint`: alarm", usd(price("alarm"))],
        [f"… for each metric that is updated every minute ({updates:,} updates)", usd(updates * price("metric update"))],
        ["… for each of these with percentiles (`Duration`)", usd(2 * updates * price("metric update"))],
        ["… for each GB through Firehose", f"{price('firehose'):g}"],
        [f"items of a million messages in the table ({ITEM} B each), with point-in-time recovery", usd(MESSAGES * ITEM / GB * (price("table") + price("table backup")))],
    ]
    return table(["Cost", "USD a month"], rows)


TABLES = {
    "prices": ("Prices", prices_table),
    "million": ("A million messages", million_table),
    "month": ("A month", month_table),
    "batch": ("Batch size", batch_table),
    "memory": ("Memory", memory_table),
    "telemetry": ("Flush point and telemetry", telemetry_table),
    "sends": ("Sends", sends_table),
    "network": ("Network of the producer", network_table),
    "logs": ("Logs", logs_table),
    "options": ("Options and storage", options_table),
}

# ---- command line --------------------------------------------------------------------------------


def number(kind, minimum, maximum):
    """Returns a parser of numbers within these limits."""
    expected = f"expected {'an integer' if kind is int else 'a number'} from {minimum:,} to {maximum:,}"

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        # This form of the comparison rejects NaN too.
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError(f"{expected}, found {text!r}")
        return value

    return parse


OPTIONS = [
    ("batch_size", number(float, 1, 10000), "N", "average number of messages in an invocation"),
    ("memory", number(int, 128, 10240), "MB", "memory of the function"),
    ("message_rate", number(float, 0.001, 1_000_000), "N", "average number of messages a second"),
    ("sends_per_message", number(float, 0.1, 1), "N", "requests that send messages, divided by the messages"),
    ("store_ms", number(float, 0, 900000), "MS", "response time of DynamoDB"),
    ("export_ms", number(float, 0, 900000), "MS", "response time of the backend"),
    ("duration_ms", number(float, 0, 900000), "MS", "average duration of your invocations; 0 estimates it"),
    ("retention_days", number(int, 1, 3653), "DAYS", "retention of the logs"),
    ("tasks", number(int, 1, 1000), "N", "average number of the producer's tasks"),
    ("zones", number(int, 1, 6), "N", "availability zones of the producer"),
]


def parse_arguments():
    parser = argparse.ArgumentParser(description=f"Print the costs of the stack of template.yaml, in USD, in {REGION}.")
    for name, kind, unit, text in OPTIONS:
        default = getattr(Deployment, name)
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=kind, metavar=unit, default=default, help=f"{text} [default: {default:g}]")
    parser.add_argument("--gzip", action=argparse.BooleanOptionalAction, default=Deployment.gzip, help="compress the telemetry of the function [default: --gzip]")
    parser.add_argument("--table", choices=TABLES, help="print this table only")
    return parser.parse_args()


def main():
    arguments = vars(parse_arguments())
    selected = arguments.pop("table")
    deployment = Deployment(**arguments)
    for name, (title, print_table) in TABLES.items():
        if selected in (None, name):
            print(f"## {title}\n\n{print_table(deployment)}\n")


if __name__ == "__main__":
    # Ends quietly if its reader, such as `head`, has read enough.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
