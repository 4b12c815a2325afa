"""`baton up` with a function, and the outcomes of the messages sent to it."""

import json
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.request

START_SECONDS = 60
SETTLE_SECONDS = 60
POLL_SECONDS = 0.2
OPTIONS = ["--logs", "--batching-window", "1s", "--concurrency", "1", "--max-receive-count", "2"]
TIMES = ["--visibility-timeout", "3s", "--function-timeout", "2s"]


class Stack:
    """A running `baton up`, stopped at the end of the `with` block."""

    def __init__(self, baton, function, root, options=(*OPTIONS, *TIMES)):
        self.baton = baton
        self.folder = tempfile.TemporaryDirectory()
        self.log = pathlib.Path(self.folder.name, "log")
        command = [baton, "up", "--json", "--function", function, *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=log, text=True)
        self.endpoints = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_SECONDS)
        self.folder.cleanup()

    def sqs(self, action, **parameters):
        """Makes one call in SQS's JSON protocol."""
        headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"}
        request = urllib.request.Request(self.endpoints["sqs"], json.dumps(parameters).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def send(self, ids):
        """Sends an order for each id, in one batch."""
        entries = [{"Id": str(number), "MessageBody": json.dumps({"id": order})} for number, order in enumerate(ids)]
        self.sqs("SendMessageBatch", QueueUrl=self.endpoints["queue_url"], Entries=entries)

    def wait_until_empty(self):
        """Waits until the source queue is empty, or for the time limit."""
        until = time.monotonic() + SETTLE_SECONDS
        while self.count(self.endpoints["queue_url"]) > 0 and time.monotonic() < until:
            time.sleep(POLL_SECONDS)

    def settled(self):
        """Waits until the source queue is empty, and returns the ids of the orders in the dead-letter queue."""
        self.wait_until_empty()
        dead = self.sqs("ReceiveMessage", QueueUrl=self.endpoints["dead_letter_queue_url"], MaxNumberOfMessages=10)
        return sorted(json.loads(message["Body"])["id"] for message in dead.get("Messages", []))

    def count(self, queue):
        """Counts the messages in a queue, including those in flight."""
        attributes = self.sqs("GetQueueAttributes", QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumberOfMessages"))

    def spans(self):
        """Returns the spans that the receiver has."""
        with urllib.request.urlopen(self.endpoints["otlp_http"] + "/api/spans", timeout=10) as response:
            return json.load(response)["spans"]

    def logged(self, *texts):
        """Returns the lines of the log that contain one of the texts."""
        return [line for line in self.log.read_text().splitlines() if any(text in line for text in texts)]

    def outcomes(self):
        """Returns `error.type` of each message span, `None` for success. Includes spans from the function's log."""
        ledger = pathlib.Path(self.folder.name, "ledger")
        replay = [self.baton, "replay", "--endpoint", self.endpoints["otlp_http"], "--ledger", ledger, self.log]
        subprocess.run(replay, check=True, stdout=subprocess.DEVNULL)
        return [span["attributes"].get("error.type") for span in self.spans() if span["name"].startswith("process ")]
