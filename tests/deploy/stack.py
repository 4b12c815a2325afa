"""A stack that `sam deploy` has created, with its queues, its table and its function."""

import json

from bench import until

# A deployed queue has the attributes of production, with which SQS delivers a failed message again
# after four minutes.
SHORT_VISIBILITY_SECONDS = 2
SHORT_RECEIVE_COUNT = 2


class Stack:
    def __init__(self, emulator, name):
        self.emulator = emulator
        self.name = name
        self.sqs = emulator.client("sqs")
        self.outputs = {}

    def deploy(self, **parameters):
        """Creates or updates the stack as docs/deploy.md describes, with these parameters."""
        programs = self.emulator.programs
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        if overrides:
            overrides.insert(0, "--parameter-overrides")
        self.emulator.run(
            *["sam", "deploy", "--template-file", programs.build / "template.yaml", "--config-file", programs.root / "samconfig.toml"],
            *["--stack-name", self.name, "--no-confirm-changeset", "--no-progressbar", *overrides],
            cwd=programs.root,
        )
        stack = self.emulator.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.shorten_retries()

    def shorten_retries(self):
        """Makes failed messages visible again after seconds, and dead-letters them after two deliveries."""
        redrive = {"deadLetterTargetArn": self.arn(self.outputs["DeadLetterQueueUrl"]), "maxReceiveCount": SHORT_RECEIVE_COUNT}
        attributes = {"VisibilityTimeout": str(SHORT_VISIBILITY_SECONDS), "RedrivePolicy": json.dumps(redrive)}
        self.sqs.set_queue_attributes(QueueUrl=self.outputs["QueueUrl"], Attributes=attributes)

    def arn(self, queue_url):
        found = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        return found["Attributes"]["QueueArn"]

    def resource(self, logical_id):
        """Returns the physical id of a resource."""
        client = self.emulator.client("cloudformation")
        return client.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)["StackResourceDetail"]["PhysicalResourceId"]

    def function(self):
        """Returns the function's configuration."""
        return self.emulator.client("lambda").get_function_configuration(FunctionName=self.outputs["FunctionName"])

    def send(self, body, trace):
        """Sends a message to the queue with the context of a producer's span."""
        attributes = {"traceparent": {"DataType": "String", "StringValue": f"00-{trace.id}-{trace.span}-01"}}
        self.sqs.send_message(QueueUrl=self.outputs["QueueUrl"], MessageBody=body, MessageAttributes=attributes)

    def stored(self, customer):
        """Waits until a customer is in the table, and returns the item."""
        table, key = self.outputs["TableName"], {"pk": {"S": f"customer#{customer}"}}
        client = self.emulator.client("dynamodb")
        return until(
            lambda: client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"),
            lambda: f"{customer} is not in the table; the end of the emulator's log: {self.emulator.log_tail()}",
        )

    def dead(self):
        """Waits for a message in the dead-letter queue, deletes it, and returns it."""
        url = self.outputs["DeadLetterQueueUrl"]

        def receive():
            found = self.sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"], WaitTimeSeconds=1)
            return found.get("Messages")

        message = until(receive, lambda: f"the dead-letter queue is empty; the end of the emulator's log: {self.emulator.log_tail()}")[0]
        self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def wait_for_dead(self):
        """Waits until a message is in the dead-letter queue, without receiving it."""
        until(lambda: self.messages("DeadLetterQueueUrl"), "the dead-letter queue is empty")

    def messages(self, queue):
        """Returns the number of messages in a queue, visible or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)
