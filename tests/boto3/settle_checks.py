"""After receiving: delete, change visibility, redrive."""

import json
import time

from bench import check, failed, refused, same, text, TRACE, check_woken


@check
def delete_message(bench):
    """DeleteMessage can be repeated; an invalid handle is ReceiptHandleIsInvalid"""
    url = bench.queue(VisibilityTimeout="0")
    bench.send(url)
    handle = bench.receive_one(url)["ReceiptHandle"]
    for _ in range(3):
        bench.sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    same(bench.receive(url), [])
    response = refused("ReceiptHandleIsInvalid", bench.sqs.delete_message, QueueUrl=url, ReceiptHandle="garbage")
    same(response["Error"]["Message"], 'The input receipt handle "garbage" is not a valid receipt handle.')
    refused("MissingParameter", bench.sqs.delete_message, QueueUrl=url)
    other = bench.queue()
    refused("ReceiptHandleIsInvalid", bench.sqs.delete_message, QueueUrl=other, ReceiptHandle=handle)


@check
def stale_handles(bench):
    """a handle is stale after its message is received again: deletion has no effect, a change is refused"""
    url = bench.queue(VisibilityTimeout="0")
    bench.send(url)
    stale = bench.receive_one(url)["ReceiptHandle"]
    latest = bench.receive_one(url)["ReceiptHandle"]
    bench.sqs.delete_message(QueueUrl=url, ReceiptHandle=stale)
    same(bench.attributes(url)["ApproximateNumberOfMessages"], "1")
    change = bench.sqs.change_message_visibility
    refused("InvalidParameterValue", change, QueueUrl=url, ReceiptHandle=stale, VisibilityTimeout=5)
    bench.sqs.delete_message(QueueUrl=url, ReceiptHandle=latest)
    same(bench.attributes(url)["ApproximateNumberOfMessages"], "0")
    response = refused("InvalidParameterValue", change, QueueUrl=url, ReceiptHandle=latest, VisibilityTimeout=5)
    same(
        response["Error"]["Message"],
        f"Value {latest} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available "
        "for visibility timeout change.",
    )


@check
def change_visibility(bench):
    """ChangeMessageVisibility: longer, zero, out of range, without the parameter"""
    url = bench.queue(VisibilityTimeout="1")
    bench.send(url)
    handle = bench.receive_one(url)["ReceiptHandle"]
    change = bench.sqs.change_message_visibility
    change(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=30)
    same(bench.receive(url, WaitTimeSeconds=2), [])
    for timeout in (-1, 43201):
        refused("InvalidParameterValue", change, QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=timeout)
    refused("ReceiptHandleIsInvalid", change, QueueUrl=url, ReceiptHandle="garbage", VisibilityTimeout=1)
    refused("MissingParameter", change, QueueUrl=url, ReceiptHandle=handle)
    change(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    same(len(bench.receive(url)), 1)


@check
def settle_in_batches(bench):
    """DeleteMessageBatch and ChangeMessageVisibilityBatch: only invalid entries fail"""
    url = bench.queue()
    for n in range(2):
        bench.send(url, str(n))
    handles = [m["ReceiptHandle"] for m in bench.receive(url, MaxNumberOfMessages=10)]
    changes = [
        {"Id": "good", "ReceiptHandle": handles[0], "VisibilityTimeout": 0},
        {"Id": "handle", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
        {"Id": "range", "ReceiptHandle": handles[1], "VisibilityTimeout": 43201},
    ]
    response = bench.sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)
    same([entry["Id"] for entry in response["Successful"]], ["good"])
    failed("ReceiptHandleIsInvalid", response, "handle")
    failed("InvalidParameterValue", response, "range")
    deletions = [{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles + ["garbage"])]
    response = bench.sqs.delete_message_batch(QueueUrl=url, Entries=deletions)
    same([entry["Id"] for entry in response["Successful"]], ["0", "1"])
    failed("ReceiptHandleIsInvalid", response, "2")
    counts = bench.attributes(url)
    same((counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]), ("0", "0"))


@check
def redrive(bench):
    """redrive after maxReceiveCount: same id, body, attributes and age, the source's ARN; it ends a long poll"""
    dead = bench.queue()
    policy = json.dumps({"deadLetterTargetArn": bench.arn(dead), "maxReceiveCount": "2"})
    url = bench.queue(RedrivePolicy=policy, VisibilityTimeout="0")
    attributes = {"a": text("v")}
    sent = bench.send(url, "poison", MessageAttributes=attributes, MessageSystemAttributes={"AWSTraceHeader": text(TRACE)})
    for count in ("1", "2"):
        message = bench.receive_one(url, AttributeNames=["All"])
        same(message["Attributes"]["ApproximateReceiveCount"], count)
        assert "DeadLetterQueueSourceArn" not in message["Attributes"]
    same(bench.receive(dead), [])
    waiting = bench.start_long_poll(dead, AttributeNames=["All"], MessageAttributeNames=["All"])
    moved_at = time.monotonic()
    same(bench.receive(url), [])
    check_woken(waiting, moved_at)
    dead_letter = waiting.messages[0]
    same((dead_letter["MessageId"], dead_letter["Body"]), (sent["MessageId"], "poison"))
    same(dead_letter["MessageAttributes"], attributes)
    same(dead_letter["Attributes"]["DeadLetterQueueSourceArn"], bench.arn(url))
    same(dead_letter["Attributes"]["AWSTraceHeader"], TRACE)
    for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
        same(dead_letter["Attributes"][name], message["Attributes"][name])
    same(dead_letter["Attributes"]["ApproximateReceiveCount"], "3")
    counts = bench.attributes(url)
    same((counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]), ("0", "0"))


@check
def redrive_while_waiting(bench):
    """a long poll on the source queue also redrives messages"""
    dead = bench.queue()
    policy = json.dumps({"deadLetterTargetArn": bench.arn(dead), "maxReceiveCount": 1})
    url = bench.queue(RedrivePolicy=policy)
    bench.send(url)
    bench.receive_one(url, VisibilityTimeout=2)
    due = time.monotonic() + 2
    dead_poll = bench.start_long_poll(dead)
    source = bench.start_long_poll(url)
    check_woken(dead_poll, due)
    bench.send(url, "ends the poll")
    same([m["Body"] for m in source.join().messages], ["ends the poll"])
