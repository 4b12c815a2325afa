"""The real function with a fake Runtime API, which sends it one event at a time."""

import json
import os
import queue
import subprocess
import time

from servers import Handler, Server

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:onboarding"
QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:onboarding"
# Lambda's default function timeout, in seconds.
TIMEOUT = 3.0
# Time limit for a response in seconds, with room for a loaded machine.
WAIT_SECONDS = 30.0


class Response:
    """The response to an event, and its duration in seconds."""

    def __init__(self, path, body, seconds):
        self.is_response = path.endswith("/response")
        self.seconds = seconds
        self.body = body

    @property
    def failed(self):
        """The ids of the messages that were reported as failed."""
        assert self.is_response, self.body
        return [failure["itemIdentifier"] for failure in json.loads(self.body)["batchItemFailures"]]


class Function:
    def __init__(self, binary, log, variables):
        self.events = queue.Queue()
        self.responses = queue.Queue()
        self.server = Server(RuntimeApi, self)
        # A clean environment, because a developer's AWS_* and OTEL_* variables would change the
        # results.
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": self.server.address,
            "AWS_LAMBDA_FUNCTION_NAME": "onboarding",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **variables,
        }
        environment = {name: value for name, value in environment.items() if value is not None}
        # Opened for appending: a descriptor that is shared with the reader would share its position
        # too.
        with log.open("ab") as output:
            self.process = subprocess.Popen([binary], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def handle(self, *messages):
        """Sends a batch of messages in one event and returns the response."""
        self.events.put(json.dumps({"Records": list(messages)}).encode())
        path, body, seconds = self.responses.get(timeout=WAIT_SECONDS)
        return Response(path, body, seconds)

    def stop(self):
        """Kills the process and waits for its exit."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        self.server.close()


class RuntimeApi(Handler):
    began = 0.0

    def do_GET(self):
        event = self.server.owner.events.get()
        RuntimeApi.began = time.monotonic()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + TIMEOUT) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Content-Type": "application/json",
        }
        self.respond(200, event, headers)

    def do_POST(self):
        body = self.body()
        self.server.owner.responses.put((self.path, body, time.monotonic() - RuntimeApi.began))
        self.respond(202, b"{}")


def message(message_id, customer_id, **fields):
    """Returns a record of an SQS event that onboards a customer."""
    body = {"customer_id": customer_id, "email": f"{customer_id}@example.com", "plan": "team", **fields}
    return {
        "messageId": message_id,
        "receiptHandle": "handle",
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "eu-central-1",
    }
