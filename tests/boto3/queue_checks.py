"""Queues: create, find, attributes, purge, and unsupported actions."""

import json
import time
import urllib.error
import urllib.request

from bench import ACCOUNT, check, MIB, refused, REGION, same


@check
def readiness(bench):
    """GET / and GET /health return 200"""
    for path in ("/", "/health"):
        with urllib.request.urlopen(bench.endpoint + path, timeout=5) as response:
            same(response.status, 200)


@check
def create_and_find(bench):
    """CreateQueue and GetQueueUrl return the same URL in the documented format"""
    name = bench.name()
    url = bench.sqs.create_queue(QueueName=name)["QueueUrl"]
    bench.created.append(url)
    same(url, f"{bench.endpoint}/{ACCOUNT}/{name}")
    same(bench.sqs.get_queue_url(QueueName=name)["QueueUrl"], url)
    same(bench.sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=ACCOUNT)["QueueUrl"], url)


@check
def create_again(bench):
    """CreateQueue for an existing queue: succeeds with the same or no attributes, QueueAlreadyExists with others"""
    name = bench.name()
    create = bench.sqs.create_queue
    url = create(QueueName=name, Attributes={"DelaySeconds": "3"})["QueueUrl"]
    bench.created.append(url)
    same(create(QueueName=name)["QueueUrl"], url)
    same(create(QueueName=name, Attributes={"DelaySeconds": "3"})["QueueUrl"], url)
    refused("QueueAlreadyExists", create, QueueName=name, Attributes={"DelaySeconds": "4"})
    try:
        create(QueueName=name, Attributes={"VisibilityTimeout": "4"})
    except bench.sqs.exceptions.QueueNameExists as error:
        same(error.response["Error"]["QueryErrorCode"], "QueueNameExists")
    else:
        raise AssertionError("expected QueueNameExists")


@check
def queue_names(bench):
    """queue names that violate AWS's rules: InvalidParameterValue"""
    for name in ("a" * 81, "a b", "a.b", "ä"):
        refused("InvalidParameterValue", bench.sqs.create_queue, QueueName=name)
    refused("MissingParameter", bench.sqs.create_queue, QueueName="")


@check
def list_queues(bench):
    """ListQueues: by prefix, in pages, and without a match"""
    prefix = bench.name()
    urls = [bench.sqs.create_queue(QueueName=f"{prefix}-{n}")["QueueUrl"] for n in range(3)]
    bench.created += urls
    same(sorted(bench.sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"]), urls)
    first = bench.sqs.list_queues(QueueNamePrefix=prefix, MaxResults=2)
    same(len(first["QueueUrls"]), 2)
    second = bench.sqs.list_queues(QueueNamePrefix=prefix, MaxResults=2, NextToken=first["NextToken"])
    same(sorted(first["QueueUrls"] + second["QueueUrls"]), urls)
    assert "NextToken" not in second
    same(bench.sqs.list_queues(QueueNamePrefix="none-of-this-name").get("QueueUrls", []), [])
    pages = bench.sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 1})
    same(sorted(url for page in pages for url in page["QueueUrls"]), urls)
    refused("InvalidParameterValue", bench.sqs.list_queues, MaxResults=1001)


@check
def delete_queue(bench):
    """DeleteQueue: every later action returns NonExistentQueue"""
    url = bench.queue()
    bench.sqs.delete_queue(QueueUrl=url)
    gone = "AWS.SimpleQueueService.NonExistentQueue"
    response = refused(gone, bench.sqs.get_queue_attributes, QueueUrl=url)
    same(response["Error"]["Message"], "The specified queue does not exist.")
    same(response["ResponseMetadata"]["HTTPStatusCode"], 400)
    refused(gone, bench.sqs.send_message, QueueUrl=url, MessageBody="x")
    refused(gone, bench.sqs.receive_message, QueueUrl=url)
    refused(gone, bench.sqs.purge_queue, QueueUrl=url)
    refused(gone, bench.sqs.delete_queue, QueueUrl=url)
    refused(gone, bench.sqs.get_queue_url, QueueName=url.rsplit("/", 1)[1])
    refused(gone, bench.sqs.send_message_batch, QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "x"}])
    refused(gone, bench.sqs.delete_message_batch, QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "x"}])
    try:
        bench.sqs.get_queue_url(QueueName="no-such-queue")
    except bench.sqs.exceptions.QueueDoesNotExist:
        return
    raise AssertionError("expected QueueDoesNotExist")


@check
def other_accounts(bench):
    """queues of another account do not exist, and a missing URL is MissingParameter"""
    gone = "AWS.SimpleQueueService.NonExistentQueue"
    refused(gone, bench.sqs.send_message, QueueUrl=f"{bench.endpoint}/123456789012/q", MessageBody="x")
    refused(gone, bench.sqs.get_queue_url, QueueName="q", QueueOwnerAWSAccountId="123456789012")
    refused("MissingParameter", bench.sqs.send_message, MessageBody="x")


@check
def default_attributes(bench):
    """GetQueueAttributes returns AWS's defaults"""
    url = bench.queue()
    attributes = bench.attributes(url)
    name = url.rsplit("/", 1)[1]
    expected = {
        "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
        "VisibilityTimeout": "30",
        "DelaySeconds": "0",
        "MaximumMessageSize": str(MIB),
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "SqsManagedSseEnabled": "true",
    }
    same({name: attributes.get(name) for name in expected}, expected)
    for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
        assert abs(int(attributes[name]) - time.time()) < 60, attributes[name]
    same(set(attributes), set(expected) | {"CreatedTimestamp", "LastModifiedTimestamp"})
    same(set(bench.attributes(url, "QueueArn", "DelaySeconds")), {"QueueArn", "DelaySeconds"})
    same(bench.sqs.get_queue_attributes(QueueUrl=url).get("Attributes", {}), {})
    refused("InvalidAttributeName", bench.attributes, url, "Nonsense")


@check
def set_attributes(bench):
    """SetQueueAttributes: each limit and one beyond it, unknown names, no partial update"""
    url = bench.queue()
    limits = {
        "VisibilityTimeout": (0, 43200),
        "DelaySeconds": (0, 900),
        "ReceiveMessageWaitTimeSeconds": (0, 20),
        "MessageRetentionPeriod": (60, 1209600),
        "MaximumMessageSize": (1024, MIB),
    }
    for name, (least, most) in limits.items():
        for value in (least, most):
            bench.sqs.set_queue_attributes(QueueUrl=url, Attributes={name: str(value)})
            same(bench.attributes(url, name)[name], str(value))
        for value in (least - 1, most + 1, "x", ""):
            refused(
                "InvalidAttributeValue", bench.sqs.set_queue_attributes, QueueUrl=url, Attributes={name: str(value)}
            )
    for name in ("QueueArn", "Nonsense", "ContentBasedDeduplication"):
        refused("InvalidAttributeName", bench.sqs.set_queue_attributes, QueueUrl=url, Attributes={name: "1"})
    mixed = {"DelaySeconds": "1", "VisibilityTimeout": "-1"}
    refused("InvalidAttributeValue", bench.sqs.set_queue_attributes, QueueUrl=url, Attributes=mixed)
    same(bench.attributes(url, "DelaySeconds")["DelaySeconds"], "900")


@check
def redrive_policies(bench):
    """RedrivePolicy and RedriveAllowPolicy: set, removed, invalid"""
    dead = bench.queue()
    url = bench.queue()
    policy = json.dumps({"deadLetterTargetArn": bench.arn(dead), "maxReceiveCount": 5})
    bench.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    same(bench.attributes(url, "RedrivePolicy")["RedrivePolicy"], policy)
    bench.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    same(bench.attributes(url, "RedrivePolicy"), {})
    for wrong in (
        {"maxReceiveCount": 5},
        {"deadLetterTargetArn": bench.arn(dead)},
        {"deadLetterTargetArn": bench.arn(dead), "maxReceiveCount": "many"},
        {"deadLetterTargetArn": bench.arn(dead), "maxReceiveCount": 0},
        {"deadLetterTargetArn": bench.arn(dead) + "-not-there", "maxReceiveCount": 5},
    ):
        attributes = {"RedrivePolicy": json.dumps(wrong)}
        refused("InvalidParameterValue", bench.sqs.set_queue_attributes, QueueUrl=url, Attributes=attributes)
    allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [bench.arn(url)]})
    bench.sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": allow})
    same(bench.attributes(dead, "RedriveAllowPolicy")["RedriveAllowPolicy"], allow)


@check
def purge(bench):
    """PurgeQueue removes visible, delayed and hidden messages; within 60 s it is PurgeQueueInProgress"""
    url = bench.queue()
    for body in ("hidden", "ready"):
        bench.send(url, body)
    bench.send(url, "delayed", DelaySeconds=900)
    bench.receive_one(url)
    bench.sqs.purge_queue(QueueUrl=url)
    counts = bench.attributes(url)
    for suffix in ("", "NotVisible", "Delayed"):
        same(counts[f"ApproximateNumberOfMessages{suffix}"], "0")
    response = refused("AWS.SimpleQueueService.PurgeQueueInProgress", bench.sqs.purge_queue, QueueUrl=url)
    same(response["ResponseMetadata"]["HTTPStatusCode"], 403)


@check
def not_supported(bench):
    """FIFO queues, tags, permissions and message moves: UnsupportedOperation"""
    url = bench.queue()
    code = "AWS.SimpleQueueService.UnsupportedOperation"
    sqs = bench.sqs
    refused(code, sqs.create_queue, QueueName="q.fifo", Attributes={"FifoQueue": "true"})
    refused(code, sqs.create_queue, QueueName=bench.name(), tags={"a": "b"})
    refused(code, sqs.tag_queue, QueueUrl=url, Tags={"a": "b"})
    refused(code, sqs.untag_queue, QueueUrl=url, TagKeys=["a"])
    refused(code, sqs.list_queue_tags, QueueUrl=url)
    refused(code, sqs.add_permission, QueueUrl=url, Label="l", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    refused(code, sqs.remove_permission, QueueUrl=url, Label="l")
    refused(code, sqs.start_message_move_task, SourceArn=bench.arn(url))
    refused(code, sqs.list_message_move_tasks, SourceArn=bench.arn(url))
    refused(code, sqs.cancel_message_move_task, TaskHandle="h")
    refused(code, sqs.list_dead_letter_source_queues, QueueUrl=url)


@check
def protocol_errors(bench):
    """an unknown action, no action, and an invalid body are refused with AWS's error codes"""
    def post(headers, body):
        request = urllib.request.Request(bench.endpoint + "/", data=body, headers=headers, method="POST")
        try:
            urllib.request.urlopen(request, timeout=5)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["__type"].split("#")[1], error.headers["Content-Type"]
        raise AssertionError("expected an error response")

    json_type = "application/x-amz-json-1.0"
    target = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": json_type}
    same(post({**target, "X-Amz-Target": "AmazonSQS.Fly"}, b"{}"), (404, "UnknownOperationException", json_type))
    same(post({"Content-Type": "application/x-www-form-urlencoded"}, b"Action=ListQueues"), (404, "UnknownOperationException", json_type))
    same(post(target, b"{"), (400, "SerializationException", json_type))
    same(post(target, b'{"QueueUrl": 7}'), (400, "SerializationException", json_type))
