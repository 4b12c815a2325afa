#!/usr/bin/env python3
"""Writes the dashboards into the folder `dashboards`. Needs the packages in requirements.txt.

The queries read metrics as infra/prometheus receives them: those of the services, and span metrics under the names of
infra/collector/span-metrics-grafana.yaml, with resource attributes as labels.
"""

import json
import pathlib

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from panels import board, choice, lines, log_lines, service_map, text, trace, trace_list

FOLDER = pathlib.Path(__file__).resolve().parent / "dashboards"

CALLS, DURATION = "traces_span_metrics_calls_total", "traces_span_metrics_duration_seconds_bucket"
ERROR = 'status_code="STATUS_CODE_ERROR"'

# Selectors with the variables of the dashboards.
SERVICE = 'service_name=~"$service", deployment_environment_name=~"$environment"'
QUEUE = 'messaging_destination_name=~"$queue", deployment_environment_name=~"$environment"'
DEPTH = 'dimension_QueueName=~"$measured_queue"'
# Requests to a service and messages that it handles, and the calls that it makes.
ENTRIES = f'{SERVICE}, span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"'
OUTGOING = f'{SERVICE}, span_kind=~"SPAN_KIND_CLIENT|SPAN_KIND_PRODUCER"'

# Also matches series without the label.
ENVIRONMENTS = choice("environment", "Environment", f"label_values({CALLS}, deployment_environment_name)", everything=".*")
SERVICES = choice("service", "Service", f"label_values({CALLS}, service_name)")
FUNCTIONS = choice("service", "Function", "label_values(faas_invocations_total, service_name)")
QUEUES = choice("queue", "Queue", "label_values(messaging_client_consumed_messages_total, messaging_destination_name)")
# A choice of its own, because the names of dead-letter queues are not in the metrics of the function.
MEASURED_QUEUES = choice("measured_queue", "Queue (depth)", "label_values(aws_sqs_approximate_number_of_messages_visible_maximum, dimension_QueueName)")

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def rate(metric, selector, by):
    """Returns a query for events per second."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def exports(metric, selector, by):
    """Returns a query for the number of exports of a counter that rarely changes.

    A new series begins with its first event, which `rate` and `increase` do not see. A service exports a counter only if
    it has changed, so there is a sample for each change.
    """
    return f"sum by ({by}) (count_over_time({metric}{{{selector}}}[$__interval]))"


def share(part, metric, selector, by):
    """Returns a query for the share of the events with the labels of `part`, which is zero if there are none."""
    whole = rate(metric, selector, by)
    return f"({rate(metric, f'{selector}, {part}', by)} or 0 * {whole}) / ({whole} > 0)"


def quantile(value, buckets, selector, by):
    return f"histogram_quantile({value}, {rate(buckets, selector, f'{by}, le')})"


def quantiles(buckets, selector):
    """Returns queries for three quantiles of all series together."""
    return {name: f"histogram_quantile({value}, {rate(buckets, selector, 'le')})" for name, value in QUANTILES.items()}


def services():
    by, legend = "service_name, span_name", "{{service_name}}: {{span_name}}"
    return board(
        "baton-services",
        "Baton / Services",
        "Rate, errors and duration of the requests and messages that the services handle, and of the calls that they make.",
        [ENVIRONMENTS, SERVICES],
        {
            "Requests and messages": [
                lines("Rate", "reqps", {legend: rate(CALLS, ENTRIES, by)}, "Requests and deliveries of messages per second."),
                lines("Errors", "percentunit", {legend: share(ERROR, CALLS, ENTRIES, by)}, "Share of them that failed.", limit=0.05),
            ],
            "Duration of requests and messages": [
                lines("p50", "s", {legend: quantile(0.5, DURATION, ENTRIES, by)}, "Half of them took less time."),
                lines("p95", "s", {legend: quantile(0.95, DURATION, ENTRIES, by)}, "95 % of them took less time.", limit=1),
                lines("p99", "s", {legend: quantile(0.99, DURATION, ENTRIES, by)}, "99 % of them took less time."),
            ],
            "Calls of the services": [
                lines("Rate", "reqps", {legend: rate(CALLS, OUTGOING, by)}, "Sends to queues and calls to stores per second."),
                lines("Errors", "percentunit", {legend: share(ERROR, CALLS, OUTGOING, by)}, "Share of them that failed.", limit=0.05),
                lines("p95", "s", {legend: quantile(0.95, DURATION, OUTGOING, by)}, "95 % of them took less time."),
            ],
            "Map": [service_map("Services", "Services and stores, with the calls and messages between them.")],
            "Recent failures": [
                log_lines("Warnings and errors", f'{{{SERVICE}}} | severity_text=~"WARN|ERROR"', "Log lines of the services. Each leads to its trace."),
                trace_list("Failed traces", "{ status = error }", "Traces in which a span failed."),
            ],
        },
    )


def queue():
    by, legend = "messaging_destination_name", "{{messaging_destination_name}}"
    latency, receives = "baton_sqs_queue_latency_seconds_bucket", "baton_sqs_receive_count"

    def depth(metric):
        """Returns a query for a metric of SQS, as the local stack and yet-another-cloudwatch-exporter name it."""
        return f"max by (dimension_QueueName) (aws_sqs_approximate_{metric}_maximum{{{DEPTH}}})"

    def later_than(delivery):
        """Returns a query for the share of the deliveries after this one of a message."""
        earlier = rate(f"{receives}_bucket", f'{QUEUE}, le=~"{delivery}([.]0)?"', by)
        return f"1 - {earlier} / {rate(f'{receives}_count', QUEUE, by)}"

    return board(
        "baton-queue",
        "Baton / Queue",
        "From the send of a message to the start of its handler.",
        [ENVIRONMENTS, QUEUES, MEASURED_QUEUES],
        {
            "Messages": [
                lines(
                    "Sent and received",
                    "ops",
                    {
                        f"sent to {legend}": rate("messaging_client_sent_messages_total", f'{QUEUE}, messaging_operation_name="send"', by),
                        f"received from {legend}": rate("messaging_client_consumed_messages_total", QUEUE, by),
                    },
                    "The queue grows while more messages are sent than received. Redeliveries count as received.",
                ),
                lines("Time in the queue", "s", quantiles(latency, QUEUE), "From the time at which SQS accepted a message to the start of its handler.", limit=60),
            ],
            "Depth": [
                lines(
                    "Messages in the queue",
                    "short",
                    {
                        "{{dimension_QueueName}}": depth("number_of_messages_visible"),
                        "{{dimension_QueueName}}, in flight": depth("number_of_messages_not_visible"),
                        "{{dimension_QueueName}}, delayed": depth("number_of_messages_delayed"),
                    },
                    "Visible, in-flight and delayed messages, also those in the dead-letter queue. A message is in flight until it is deleted or visible again.",
                ),
                lines("Age of the oldest message", "s", {"{{dimension_QueueName}}": depth("age_of_oldest_message")}, "Grows until the oldest message leaves the queue."),
            ],
            "Failures": [
                lines(
                    "Redeliveries",
                    "percentunit",
                    {f"{legend}, after the first delivery": later_than(1), f"{legend}, after the third delivery": later_than(3)},
                    "Share of the deliveries that follow a failed one. A message is delivered up to maxReceiveCount times.",
                ),
                lines(
                    "Failed deliveries",
                    "percentunit",
                    {"{{service_name}}": share('error_type!=""', "messaging_process_duration_seconds_count", QUEUE, "service_name")},
                    "Share of the deliveries whose handler failed.",
                    limit=0.05,
                ),
                lines(
                    "Dead letters",
                    "short",
                    {f"{legend}, moved by {{{{baton_sqs_moved_by}}}}": exports("baton_sqs_dead_letters_total", QUEUE, f"{by}, baton_sqs_moved_by")},
                    "Batches with messages that the function or the redrive policy moved to the dead-letter queue.",
                    limit=1,
                ),
            ],
        },
    )


def function():
    by, legend = "service_name", "{{service_name}}"
    return board(
        "baton-function",
        "Baton / Function",
        "Invocations, batches and cold starts of the functions.",
        [ENVIRONMENTS, FUNCTIONS],
        {
            "Invocations": [
                lines("Rate", "ops", {legend: rate("faas_invocations_total", SERVICE, by)}, "Invocations per second that succeeded, even if single messages failed."),
                lines("Duration", "s", quantiles("faas_invoke_duration_seconds_bucket", SERVICE), "Duration of an invocation without its flush."),
                lines(
                    "Failures",
                    "short",
                    {f"{legend}, failed": exports("faas_errors_total", SERVICE, by), f"{legend}, out of time": exports("faas_timeouts_total", SERVICE, by)},
                    "Invocations that failed, and those that left messages unhandled because the deadline was near.",
                    limit=1,
                ),
            ],
            "Batches": [
                lines(
                    "Messages in a batch",
                    "short",
                    {legend: f"{rate('messaging_client_consumed_messages_total', SERVICE, by)} / {rate('faas_invoke_duration_seconds_count', SERVICE, by)}"},
                    "Mean. If batches are small while the queue grows, raise BatchSize or BatchingWindow.",
                ),
                lines("Duration of a handler", "s", quantiles("messaging_process_duration_seconds_bucket", SERVICE), "Duration of the handler of one message."),
            ],
            "Environments": [
                lines("Cold starts", "short", {legend: exports("faas_coldstarts_total", SERVICE, by)}, "First invocations of a process."),
                lines(
                    "Initialization",
                    "s",
                    {legend: f"avg by ({by}) (last_over_time(faas_init_duration_seconds_sum{{{SERVICE}}}[$__interval]))"},
                    "Mean time from the start of a process to its first request for an event.",
                ),
                lines("Flush", "s", quantiles("baton_telemetry_flush_duration_seconds_bucket", SERVICE), "Time that the export of telemetry adds to an invocation.", limit=1),
            ],
        },
    )


def telemetry():
    by, legend = "service_name", "{{service_name}}"
    outcome, signal = "baton_telemetry_outcome", "baton_telemetry_signal"
    lost = f'{SERVICE}, {outcome}!="exported"'

    def each(label):
        return f"{{{{service_name}}}}: {{{{{label}}}}}"

    return board(
        "baton-telemetry",
        "Baton / Telemetry",
        "Spans, log records and metrics of the services: exported, written to the log, lost or waiting.",
        [ENVIRONMENTS, SERVICES],
        {
            "Spans": [
                lines("Outcome", "ops", {each(outcome): rate("baton_telemetry_spans_total", SERVICE, f"{by}, {outcome}")}, "Finished spans per second."),
                lines(
                    "Spilled or dropped",
                    "short",
                    {each(outcome): exports("baton_telemetry_spans_total", lost, f"{by}, {outcome}")},
                    "Exports after which spans were spilled to the log, for baton replay, or dropped.",
                    limit=1,
                ),
                lines("Pending", "short", {legend: f"sum by ({by}) (baton_telemetry_spans_pending{{{SERVICE}}})"}, "Finished spans that have not been exported."),
            ],
            "Circuit breaker": [
                lines(
                    "Open",
                    "short",
                    {each(signal): f"max by ({by}, {signal}) (baton_telemetry_circuit_breaker_open{{{SERVICE}}})"},
                    "1 while the export of a signal is suspended. If no metrics arrive either, there is no value.",
                    limit=1,
                ),
                lines(
                    "Openings",
                    "short",
                    {each(signal): exports("baton_telemetry_circuit_breaker_openings_total", SERVICE, f"{by}, {signal}")},
                    "Exports after which a circuit breaker had opened. They arrive when it has closed.",
                    limit=1,
                ),
            ],
            "Log records and metrics": [
                lines("Log records", "ops", {each(outcome): rate("baton_telemetry_log_records_total", SERVICE, f"{by}, {outcome}")}, "Log records per second. Every line is on stdout too."),
                lines("Pending log records", "short", {legend: f"sum by ({by}) (baton_telemetry_log_records_pending{{{SERVICE}}})"}, "Log records that have not been exported."),
                lines("Dropped metrics", "short", {legend: exports("baton_telemetry_metric_points_total", SERVICE, by)}, "Exports after which data points were dropped.", limit=1),
            ],
        },
    )


def message():
    return board(
        "baton-message",
        "Baton / Message",
        "One message: its trace from the request to the store, and the log lines of both services.",
        [
            text("trace_id", "Trace id", "The 32 digits that a log line or a response contains."),
            text("message_id", "Message id", "The id that SQS gave the message, if the trace id is unknown."),
        ],
        {
            "Find": [trace_list("Traces of the message id", '{ span.messaging.message.id = "$message_id" }', "Traces with a span for this message.")],
            "Trace": [trace("Spans", "$trace_id", "The spans of the trace id.")],
            "Log": [log_lines("Lines", '{service_name=~".+"} | trace_id="$trace_id"', "The log lines with the trace id.")],
        },
    )


def collector():
    signals = {"spans": "spans", "metric points": "metric_points", "log records": "log_records"}

    def flow(metric, by="instance"):
        """Returns a query for each signal. `metric` contains {} in place of the signal."""
        return {f"{name}, {{{{{by}}}}}": f"sum by ({by}) (rate({metric.format(part)}[$__rate_interval]))" for name, part in signals.items()}

    return board(
        "baton-collector",
        "Baton / Collector and backends",
        "The collector, Tempo and Loki.",
        [],
        {
            "Collector": [
                lines("Received", "ops", flow("otelcol_receiver_accepted_{}_total"), "Spans, data points and log records per second that the collector accepted."),
                lines("Refused", "ops", flow("otelcol_receiver_refused_{}_total"), "Refused because of the memory limit or a full queue. The services keep or spill them.", limit=0.001),
                lines("Sent", "ops", flow("otelcol_exporter_sent_{}_total", "exporter"), "Accepted by the backends."),
            ],
            "Exporters": [
                lines("Queue", "percentunit", {"{{exporter}}, {{data_type}}": "max by (exporter, data_type) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)"}, "Used part of the queue. A full queue refuses data.", limit=0.5),
                lines("Memory", "bytes", {"{{instance}}": "otelcol_process_memory_rss_bytes"}, "Memory of the collector."),
                lines("Time since the start", "s", {"{{instance}}": "otelcol_process_uptime_seconds_total"}, "Falls to zero when the collector restarts."),
            ],
            "Backends": [
                lines("Tempo", "ops", {"spans": "sum(rate(tempo_distributor_spans_received_total[$__rate_interval]))"}, "Spans that Tempo received per second."),
                lines("Loki", "ops", {"lines": "sum(rate(loki_distributor_lines_received_total[$__rate_interval]))"}, "Log records that Loki received per second."),
                lines("Programs that respond", "short", {"{{job}}": "up"}, "1 if Prometheus can read the metrics of a program."),
            ],
        },
    )


def main():
    for build in (services, queue, function, telemetry, message, collector):
        content = json.loads(JSONEncoder(sort_keys=True).encode(build()))
        (FOLDER / f"{build.__name__}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
