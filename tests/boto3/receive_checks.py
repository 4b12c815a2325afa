"""Receiving: parameters, visibility, delays, and long polls that end as soon as a message is available."""

import time

from bench import check, MAX_WAKE_SECONDS, refused, same, check_woken


@check
def receive_parameters(bench):
    """ReceiveMessage: ranges of MaxNumberOfMessages, WaitTimeSeconds and VisibilityTimeout"""
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
    """ReceiveMessage: one message by default, at most the requested number, no hidden message"""
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
    """a message is visible again after its visibility timeout, with a new handle and a higher count"""
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
    """delays: of the message, of the queue, and zero on the message"""
    url = bench.queue(DelaySeconds="900")
    bench.send(url, "queue's")
    bench.send(url, "none", DelaySeconds=0)
    bench.send(url, "own", DelaySeconds=1)
    same([m["Body"] for m in bench.receive(url, MaxNumberOfMessages=10)], ["none"])
    same(bench.attributes(url)["ApproximateNumberOfMessagesDelayed"], "2")
    same(bench.receive_one(url)["Body"], "own")


@check
def empty_poll_waits(bench):
    """a long poll on an empty queue lasts for the requested time or the queue's default"""
    url = bench.queue(ReceiveMessageWaitTimeSeconds="1")
    for options in ({"WaitTimeSeconds": 1}, {}):
        started = time.monotonic()
        same(bench.receive(url, **options), [])
        assert 0.9 <= time.monotonic() - started <= 1 + MAX_WAKE_SECONDS
    started = time.monotonic()
    same(bench.receive(url, WaitTimeSeconds=0), [])
    assert time.monotonic() - started < 0.9


@check
def woken_by_a_send(bench):
    """a long poll ends as soon as a message is sent"""
    url = bench.queue()
    waiting = bench.start_long_poll(url)
    sent_at = time.monotonic()
    bench.send(url)
    check_woken(waiting, sent_at)


@check
def woken_by_a_batch(bench):
    """two long polls end as soon as a batch of two is sent"""
    url = bench.queue()
    pair = [bench.start_long_poll(url), bench.start_long_poll(url)]
    sent_at = time.monotonic()
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(2)]
    bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    for waiting in pair:
        check_woken(waiting, sent_at)


@check
def woken_by_a_delay(bench):
    """a long poll ends as soon as a message's delay ends"""
    url = bench.queue()
    waiting = bench.start_long_poll(url)
    bench.send(url, DelaySeconds=1)
    check_woken(waiting, time.monotonic() + 1)


@check
def woken_by_a_timeout(bench):
    """a long poll ends as soon as a message's visibility timeout ends"""
    url = bench.queue()
    bench.send(url)
    bench.receive_one(url, VisibilityTimeout=2)
    due = time.monotonic() + 2
    check_woken(bench.start_long_poll(url), due)


@check
def woken_by_a_change(bench):
    """a long poll ends as soon as a visibility timeout is set to zero, or shortened and over"""
    url = bench.queue()
    for timeout in (0, 1):
        bench.send(url)
        handle = bench.receive_one(url)["ReceiptHandle"]
        waiting = bench.start_long_poll(url)
        bench.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=timeout)
        check_woken(waiting, time.monotonic() + timeout)


@check
def woken_by_a_deletion(bench):
    """a long poll fails if its queue is deleted"""
    url = bench.queue()
    waiting = bench.start_long_poll(url)
    bench.sqs.delete_queue(QueueUrl=url)
    waiting.join()
    same(waiting.error.response["Error"]["Code"], "AWS.SimpleQueueService.NonExistentQueue")
