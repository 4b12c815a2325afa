"""Messages with trace contexts, and their spans."""

import json
import secrets
from typing import NamedTuple

COUNT = 100
BATCH = 10


class Message(NamedTuple):
    customer_id: str
    trace_id: str
    span_id: str

    def entry(self):
        """Returns the entry of a `SendMessageBatch` call."""
        body = {"customer_id": self.customer_id, "email": f"{self.customer_id}@example.com", "plan": "team"}
        traceparent = {"DataType": "String", "StringValue": f"00-{self.trace_id}-{self.span_id}-01"}
        return {"Id": self.customer_id, "MessageBody": json.dumps(body), "MessageAttributes": {"traceparent": traceparent}}


def new_messages():
    return [Message(f"customer-{number}", secrets.token_hex(16), secrets.token_hex(8)) for number in range(COUNT)]


def send(stack, messages):
    """Sends all messages in full batches."""
    for first in range(0, len(messages), BATCH):
        entries = [message.entry() for message in messages[first : first + BATCH]]
        response = stack.sqs("SendMessageBatch", QueueUrl=stack.endpoints["queue_url"], Entries=entries)
        assert len(response["Successful"]) == len(entries), response


def broken_traces(messages, spans):
    """Returns the messages whose trace is not a CONSUMER span below the sent context with one CLIENT span as its child."""
    return [message for message in messages if not is_whole(message, [span for span in spans if span["trace_id"] == message.trace_id])]


def is_whole(message, spans):
    consumers = [span for span in spans if span["kind"] == "CONSUMER"]
    clients = [span for span in spans if span["kind"] == "CLIENT"]
    if (len(consumers), len(clients), len(spans)) != (1, 1, 2):
        return False
    return (consumers[0]["parent_span_id"], clients[0]["parent_span_id"]) == (message.span_id, consumers[0]["span_id"])
