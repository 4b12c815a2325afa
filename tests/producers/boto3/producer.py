"""Sends messages with boto3 and prints the messages and the producer's spans as one line of JSON.

    producer.py INSTRUMENTATIONS QUEUE_URL

INSTRUMENTATIONS is a list such as `botocore,boto3sqs`, or `none`.
"""

import json
import sys
from urllib.parse import urlsplit

import boto3
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

BODY = json.dumps({"customer_id": "c-1", "email": "c-1@example.com", "plan": "team"})


def instrument(names):
    """Imports only the requested instrumentation, like a program that installs only that."""
    if "botocore" in names:
        from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

        BotocoreInstrumentor().instrument()
    if "boto3sqs" in names:
        from opentelemetry.instrumentation.boto3sqs import Boto3SQSInstrumentor

        Boto3SQSInstrumentor().instrument()


def attributes(count):
    return {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(count)}


def send(sqs, url, count):
    sent = sqs.send_message(QueueUrl=url, MessageBody=BODY, MessageAttributes=attributes(count))
    return [sent["MessageId"]]


def send_batch(sqs, url):
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(2)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    return [entry["MessageId"] for entry in sent["Successful"]]


def main():
    names, url = sys.argv[1].split(","), sys.argv[2]
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    instrument(names)
    tracer = trace.get_tracer("producer")
    endpoint = urlsplit(url)
    sqs = boto3.client("sqs", endpoint_url=f"{endpoint.scheme}://{endpoint.netloc}")
    messages = []
    for case, action in {
        "single": lambda: send(sqs, url, 0),
        "batch": lambda: send_batch(sqs, url),
        "eight": lambda: send(sqs, url, 8),
        "ten": lambda: send(sqs, url, 10),
    }.items():
        with tracer.start_as_current_span(case) as span:
            trace_id = f"{span.get_span_context().trace_id:032x}"
            messages += [{"case": case, "id": id, "trace_id": trace_id} for id in action()]
    spans = [
        {"trace_id": f"{span.context.trace_id:032x}", "span_id": f"{span.context.span_id:016x}", "name": span.name}
        for span in exporter.get_finished_spans()
    ]
    print(json.dumps({"messages": messages, "spans": spans}))


if __name__ == "__main__":
    main()
