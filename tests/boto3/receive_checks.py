"""Receiving: parameters, visibility, delays, long polls that wake at once."""

import time

from bench import check, PROMPT_SECONDS, refused, same, woken


@check
def receive_parameters(bench):
    """ReceiveMessage: MaxNumberOfMessages, WaitTimeSeconds and VisibilityTimeout in their ranges"""
    url = bench.queue()
    for most in (0, 11, -1):
        refused("InvalidParameterValue", bench.receive, url, MaxNumberOfMessages=most)
    for wait in (-1, 21):
        refused("InvalidParameterValue", bench.receive, url, WaitTimeSeconds=wait)
    for timeout in (-1, 43201):
        refused("InvalidParameterValue", bench.receive, url, VisibilityTimeout=timeout)
    assert "Messages" not in bench.sqs.receive_message(QueueUrl=url)


@check
def receive_at_most(bench):
    """ReceiveMessage: one by default, at most what is asked for, none twice while hidden"""
    url = bench.queue()
    for n in range(15):
        bench.send(url, str(n))
    same(len(bench.receive(url)), 1)
    same(len(bench.receive(url, MaxNumberOfMessages=10)), 10)
    same(len(bench.receive(url, MaxNumberOfMessages=10)), 4)
    same(bench.receive(url, MaxNumberOfMessages=10), [])
    same(bench.attributes(url)["ApproximateNumberOfMessagesNotVisible"], "15")


@check
def visibility_timeout(bench):
    """a received message comes back after its visibility timeout, with a new handle and its count"""
    url = bench.queue(VisibilityTimeout="1")
    bench.send(url)
    first = bench.receive_one(url)
    same(bench.receive(url), [])
    second = bench.receive_one(url, AttributeNames=["ApproximateReceiveCount"])
    same(second["Attributes"]["ApproximateReceiveCount"], "2")
    same(second["MessageId"], first["MessageId"])
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


@check
def delays(bench):
    """a message's delay, the queue's delay, and zero against the queue's"""
    url = bench.queue(DelaySeconds="900")
    bench.send(url, "queue's")
    bench.send(url, "none", DelaySeconds=0)
    bench.send(url, "own", DelaySeconds=1)
    same([m["Body"] for m in bench.receive(url, MaxNumberOfMessages=10)], ["none"])
    same(bench.attributes(url)["ApproximateNumberOfMessagesDelayed"], "2")
    same(bench.receive_one(url)["Body"], "own")


@check
def empty_poll_waits(bench):
    """a long poll on an empty queue lasts as long as asked for, or as the queue says"""
    url = bench.queue(ReceiveMessageWaitTimeSeconds="1")
    for options in ({"WaitTimeSeconds": 1}, {}):
        started = time.monotonic()
        same(bench.receive(url, **options), [])
        assert 0.9 <= time.monotonic() - started <= 1 + PROMPT_SECONDS
    started = time.monotonic()
    same(bench.receive(url, WaitTimeSeconds=0), [])
    assert time.monotonic() - started < 0.9


@check
def woken_by_a_send(bench):
    """a waiting receiver gets a message that is sent, at once"""
    url = bench.queue()
    waiting = bench.waiting_receive(url)
    sent_at = time.monotonic()
    bench.send(url)
    woken(waiting, sent_at)


@check
def woken_by_a_batch(bench):
    """two waiting receivers share a batch, at once"""
    url = bench.queue()
    pair = [bench.waiting_receive(url), bench.waiting_receive(url)]
    sent_at = time.monotonic()
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(2)]
    bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    for waiting in pair:
        woken(waiting, sent_at)


@check
def woken_by_a_delay(bench):
    """a waiting receiver gets a message whose delay ends, at once"""
    url = bench.queue()
    waiting = bench.waiting_receive(url)
    bench.send(url, DelaySeconds=1)
    woken(waiting, time.monotonic() + 1)


@check
def woken_by_a_timeout(bench):
    """a waiting receiver gets a message whose visibility timeout ends, at once"""
    url = bench.queue()
    bench.send(url)
    bench.receive_one(url, VisibilityTimeout=2)
    due = time.monotonic() + 2
    woken(bench.waiting_receive(url), due)


@check
def woken_by_a_change(bench):
    """a waiting receiver gets a message made visible, and one whose timeout is shortened, at once"""
    url = bench.queue()
    for timeout in (0, 1):
        bench.send(url)
        handle = bench.receive_one(url)["ReceiptHandle"]
        waiting = bench.waiting_receive(url)
        bench.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=timeout)
        woken(waiting, time.monotonic() + timeout)


@check
def woken_by_a_deletion(bench):
    """a waiting receiver learns that its queue is deleted"""
    url = bench.queue()
    waiting = bench.waiting_receive(url)
    bench.sqs.delete_queue(QueueUrl=url)
    waiting.join()
    same(waiting.error.response["Error"]["Code"], "AWS.SimpleQueueService.NonExistentQueue")
