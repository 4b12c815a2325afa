"""Helpers for all checks: a client, queues, long polls in the background, assertions, and independent MD5s."""

import hashlib
import struct
import threading
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
REGION = "us-east-1"
MIB = 1_048_576
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
# Time limit for a message to reach a long poll. It allows for a loaded machine, and is much shorter
# than the poll.
MAX_WAKE_SECONDS = 1.0

CHECKS = []


def check(function):
    """Registers a check; its docstring is the title in the output."""
    CHECKS.append(function)
    return function


def client_for(endpoint, **options):
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30, parameter_validation=False, **options)
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


class Bench:
    """A client, and queues with unique names."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.sqs = client_for(endpoint)
        self.created = []

    def name(self):
        return f"probe-{uuid.uuid4().hex[:12]}"

    def queue(self, **attributes):
        url = self.sqs.create_queue(QueueName=self.name(), Attributes=attributes)["QueueUrl"]
        self.created.append(url)
        return url

    def arn(self, url):
        return self.attributes(url, "QueueArn")["QueueArn"]

    def attributes(self, url, *names):
        return self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names) or ["All"]).get("Attributes", {})

    def send(self, url, body="body", **options):
        return self.sqs.send_message(QueueUrl=url, MessageBody=body, **options)

    def receive(self, url, **options):
        return self.sqs.receive_message(QueueUrl=url, **options).get("Messages", [])

    def receive_one(self, url, **options):
        messages = self.receive(url, WaitTimeSeconds=5, **options)
        same(len(messages), 1)
        return messages[0]

    def start_long_poll(self, url, **options):
        """Starts a long poll in the background; `.join()` waits for its end."""
        return LongPoll(self.endpoint, url, options)

    def clean_up(self):
        for url in self.created:
            try:
                self.sqs.delete_queue(QueueUrl=url)
            except ClientError:
                pass


class LongPoll:
    def __init__(self, endpoint, url, options):
        self.messages = None
        self.error = None
        self.ended = None
        # A separate client, so that the poll does not use the sender's connection.
        client = client_for(endpoint)

        def poll():
            try:
                self.messages = client.receive_message(QueueUrl=url, WaitTimeSeconds=10, **options).get("Messages", [])
            except ClientError as error:
                self.error = error
            self.ended = time.monotonic()

        self.thread = threading.Thread(target=poll, daemon=True)
        self.thread.start()
        # Time for the request to reach the endpoint. If it takes longer, the check is still valid,
        # but less strict.
        time.sleep(0.3)

    def join(self):
        self.thread.join(20)
        assert self.ended is not None, "the long poll did not end"
        return self


def same(actual, expected):
    assert actual == expected, f"expected {expected!r}, got {actual!r}"


def refused(code, function, *arguments, **options):
    """Checks that the call fails with exactly this code, and returns the error response."""
    try:
        function(*arguments, **options)
    except ClientError as error:
        same(error.response["Error"]["Code"], code)
        return error.response
    raise AssertionError(f"expected {code}, but it succeeded")


def failed(code, response, entry_id):
    entries = {entry["Id"]: entry for entry in response.get("Failed", [])}
    assert entry_id in entries, f"entry {entry_id} did not fail: {response}"
    same(entries[entry_id]["Code"], code)
    same(entries[entry_id]["SenderFault"], True)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def md5_of_attributes(attributes):
    """Computes the MD5 by AWS's documentation, independently of the endpoint and of boto3."""
    digest = hashlib.md5()
    for name in sorted(attributes):
        attribute = attributes[name]
        for part in (name, attribute["DataType"]):
            digest.update(struct.pack(">I", len(part.encode())) + part.encode())
        if "BinaryValue" in attribute:
            kind, value = b"\x02", attribute["BinaryValue"]
        else:
            kind, value = b"\x01", attribute["StringValue"].encode()
        digest.update(kind + struct.pack(">I", len(value)) + value)
    return digest.hexdigest()


def text(value, data_type="String"):
    return {"DataType": data_type, "StringValue": value}


def check_woken(waiting, since):
    waiting.join()
    same(len(waiting.messages or []), 1)
    late = waiting.ended - since
    assert -0.1 <= late < MAX_WAKE_SECONDS, f"the poll ended {late:.3f} s after the message was available"
