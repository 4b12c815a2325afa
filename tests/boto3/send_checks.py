"""Sending: bodies, attributes, MD5s, limits and batches."""

import time
import uuid

from bench import check, client_for, failed, md5, md5_of_attributes, MIB, refused, same, text, TRACE


@check
def round_trip(bench):
    """SendMessage and ReceiveMessage: same id and body with any Unicode, and its MD5"""
    url = bench.queue()
    body = "tab\t line\n\r \u00e9 \ud7ff \ue000 \ufffd \U0001f980 <&>\"\\"
    sent = bench.send(url, body)
    same(sent["MD5OfMessageBody"], md5(body))
    assert "MD5OfMessageAttributes" not in sent
    message = bench.receive_one(url)
    same((message["MessageId"], message["Body"], message["MD5OfBody"]), (sent["MessageId"], body, md5(body)))
    same({"Attributes", "MessageAttributes", "MD5OfMessageAttributes"} & set(message), set())
    uuid.UUID(sent["MessageId"])


@check
def message_attributes(bench):
    """message attributes of every type and label, and their independently computed MD5"""
    url = bench.queue()
    attributes = {
        "traceparent": text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        "Zebra.first": text("é", "String.label"),
        "count": text("-12.50e3", "Number"),
        "count.int": text("7", "Number.int"),
        "bytes": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
        "image": {"DataType": "Binary.png", "BinaryValue": b"\x00"},
    }
    sent = bench.send(url, MessageAttributes=attributes)
    same(sent["MD5OfMessageAttributes"], md5_of_attributes(attributes))
    message = bench.receive_one(url, MessageAttributeNames=["All"])
    same(message["MessageAttributes"], attributes)
    same(message["MD5OfMessageAttributes"], md5_of_attributes(attributes))


@check
def known_md5(bench):
    """MD5OfMessageAttributes of a published example"""
    sent = bench.send(bench.queue(), MessageAttributes={"MyAttribute": text("foobar")})
    same(sent["MD5OfMessageAttributes"], "adb59cd4678ea5a855436b949cd07ab6")


@check
def attribute_names(bench):
    """MessageAttributeNames: All, .*, prefix.*, names, none; the MD5 covers the returned attributes"""
    url = bench.queue(VisibilityTimeout="0")
    attributes = {"Help.Me": text("Me"), "Hello": text("There"), "General": text("Kenobi")}
    bench.send(url, MessageAttributes=attributes)
    cases = {
        ("All",): {"Help.Me", "Hello", "General"},
        (".*",): {"Help.Me", "Hello", "General"},
        ("Hel.*",): {"Help.Me", "Hello"},
        ("Help.*",): {"Help.Me"},
        ("General", "Nothing"): {"General"},
        ("Nothing",): set(),
        (): set(),
    }
    for names, expected in cases.items():
        message = bench.receive_one(url, MessageAttributeNames=list(names))
        returned = message.get("MessageAttributes", {})
        same(set(returned), expected)
        same(message.get("MD5OfMessageAttributes"), md5_of_attributes(returned) if returned else None)


@check
def system_attributes(bench):
    """system attributes are selected by AttributeNames and MessageSystemAttributeNames"""
    url = bench.queue(VisibilityTimeout="0")
    before = int(time.time() * 1000)
    bench.send(url, MessageGroupId="tenant-1")
    first = bench.receive_one(url, AttributeNames=["All"])["Attributes"]
    names = {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "MessageGroupId"}
    same(set(first), names)
    same((first["ApproximateReceiveCount"], first["MessageGroupId"]), ("1", "tenant-1"))
    for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
        assert before - 1000 <= int(first[name]) <= before + 60000, first[name]
    second = bench.receive_one(url, MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"])["Attributes"]
    same(second, {"ApproximateReceiveCount": "2", "SentTimestamp": first["SentTimestamp"]})
    both = {"AttributeNames": ["SenderId"], "MessageSystemAttributeNames": ["ApproximateFirstReceiveTimestamp"]}
    third = bench.receive_one(url, **both)["Attributes"]
    same(set(third), {"SenderId", "ApproximateFirstReceiveTimestamp"})
    same(third["ApproximateFirstReceiveTimestamp"], first["ApproximateFirstReceiveTimestamp"])
    refused("InvalidAttributeName", bench.receive, url, AttributeNames=["Nonsense"])


@check
def trace_header(bench):
    """AWSTraceHeader is delivered for single and batch sends, has an MD5, and does not count towards limits"""
    url = bench.queue(MaximumMessageSize="1024")
    system = {"AWSTraceHeader": text(TRACE)}
    sent = bench.send(url, "x" * 1024, MessageSystemAttributes=system)
    same(sent["MD5OfMessageSystemAttributes"], md5_of_attributes(system))
    entries = [{"Id": "1", "MessageBody": "y" * 1024, "MessageSystemAttributes": system}]
    batch = bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    same(batch["Successful"][0]["MD5OfMessageSystemAttributes"], md5_of_attributes(system))
    for _ in range(2):
        message = bench.receive_one(url, MessageSystemAttributeNames=["AWSTraceHeader"])
        same(message["Attributes"], {"AWSTraceHeader": TRACE})
    ten = {f"a{n}": text("v") for n in range(10)}
    bench.send(url, MessageAttributes=ten, MessageSystemAttributes=system)
    for wrong in ({"Other": text("x")}, {"AWSTraceHeader": text("")}, {"AWSTraceHeader": text("1", "Number")}):
        refused("InvalidParameterValue", bench.send, url, MessageSystemAttributes=wrong)


@check
def trace_header_of_the_request(bench):
    """the HTTP header X-Amzn-Trace-Id applies to messages without AWSTraceHeader"""
    url = bench.queue()
    client = client_for(bench.endpoint)
    client.meta.events.register("before-send.sqs", lambda request, **_: request.headers.update({"X-Amzn-Trace-Id": TRACE}))
    own = TRACE.replace("Sampled=1", "Sampled=0")
    client.send_message(QueueUrl=url, MessageBody="inherits")
    client.send_message(QueueUrl=url, MessageBody="own", MessageSystemAttributes={"AWSTraceHeader": text(own)})
    messages = bench.receive(url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])
    same({m["Body"]: m["Attributes"]["AWSTraceHeader"] for m in messages}, {"inherits": TRACE, "own": own})


@check
def bodies(bench):
    """an empty body is MissingParameter, characters that XML does not allow are InvalidMessageContents"""
    url = bench.queue()
    refused("MissingParameter", bench.send, url, "")
    for character in ("\x00", "\x08", "\x0b", "\ufffe", "\uffff"):
        refused("InvalidMessageContents", bench.send, url, f"a{character}")


@check
def sizes(bench):
    """1 MiB including attributes is accepted, one byte more is not; the same with a queue's own limit"""
    url = bench.queue()
    attribute = {"name": text("v" * 10)}
    weight = len("name") + len("String") + 10
    same(bench.send(url, "x" * MIB)["MD5OfMessageBody"], md5("x" * MIB))
    bench.send(url, "x" * (MIB - weight), MessageAttributes=attribute)
    response = refused("InvalidParameterValue", bench.send, url, "x" * (MIB + 1))
    same(
        response["Error"]["Message"],
        "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
    )
    refused("InvalidParameterValue", bench.send, url, "x" * (MIB - weight + 1), MessageAttributes=attribute)
    refused("InvalidParameterValue", bench.send, url, "é" * (MIB // 2) + "x")
    small = bench.queue(MaximumMessageSize="1024")
    bench.send(small, "x" * 1024)
    refused("InvalidParameterValue", bench.send, small, "x" * 1025)


@check
def attribute_rules(bench):
    """attributes: at most 10, with AWS's rules for names, types and values"""
    url = bench.queue()
    bench.send(url, MessageAttributes={f"a{n}": text("v") for n in range(10)})
    refused("InvalidParameterValue", bench.send, url, MessageAttributes={f"a{n}": text("v") for n in range(11)})
    bench.send(url, MessageAttributes={"n" * 256: text("v"), "awsome": text("v")})
    for name in ("n" * 257, "aWs.x", "AMAZON.x", ".x", "x.", "x..y", "x y", "x!", 'x"', ""):
        refused("InvalidParameterValue", bench.send, url, MessageAttributes={name: text("v")})
    for data_type in ("Text", "string", "String.", "String." + "l" * 250):
        refused("InvalidParameterValue", bench.send, url, MessageAttributes={"x": text("v", data_type)})
    for wrong in (
        text(""),
        text("\x0b"),
        text("twelve", "Number"),
        {"DataType": "Binary", "BinaryValue": b""},
        {"DataType": "String", "BinaryValue": b"x"},
        {"DataType": "Binary", "StringValue": "x"},
        {"DataType": "String"},
    ):
        refused("InvalidParameterValue", bench.send, url, MessageAttributes={"x": wrong})
    refused("MissingParameter", bench.send, url, MessageAttributes={"x": {"StringValue": "v"}})
    lists = {"DataType": "String", "StringListValues": ["a"]}
    refused("AWS.SimpleQueueService.UnsupportedOperation", bench.send, url, MessageAttributes={"x": lists})
    same(bench.attributes(url)["ApproximateNumberOfMessages"], "2")


@check
def send_parameters(bench):
    """DelaySeconds, MessageGroupId and MessageDeduplicationId that a standard queue does not accept"""
    url = bench.queue()
    for delay in (-1, 901):
        refused("InvalidParameterValue", bench.send, url, DelaySeconds=delay)
    for group in ("", "a b", "g" * 129):
        refused("InvalidParameterValue", bench.send, url, MessageGroupId=group)
    refused("InvalidParameterValue", bench.send, url, MessageDeduplicationId="d")


@check
def send_batch(bench):
    """SendMessageBatch: ten messages, each with its MD5s"""
    url = bench.queue()
    attributes = {"a": text("v")}
    entries = [{"Id": f"e-{n}", "MessageBody": f"body {n}", "MessageAttributes": attributes} for n in range(10)]
    response = bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert "Failed" not in response
    same([entry["Id"] for entry in response["Successful"]], [entry["Id"] for entry in entries])
    for n, entry in enumerate(response["Successful"]):
        same(entry["MD5OfMessageBody"], md5(f"body {n}"))
        same(entry["MD5OfMessageAttributes"], md5_of_attributes(attributes))
    received = bench.receive(url, MaxNumberOfMessages=10)
    same({m["MessageId"] for m in received}, {entry["MessageId"] for entry in response["Successful"]})


@check
def send_batch_partial(bench):
    """SendMessageBatch: only invalid entries fail, with AWS's codes"""
    url = bench.queue(MaximumMessageSize="1024")
    entries = [
        {"Id": "good", "MessageBody": "x"},
        {"Id": "characters", "MessageBody": "\x01"},
        {"Id": "large", "MessageBody": "x" * 1025},
        {"Id": "empty", "MessageBody": ""},
        {"Id": "attribute", "MessageBody": "x", "MessageAttributes": {"a": text("")}},
        {"Id": "delay", "MessageBody": "x", "DelaySeconds": 901},
    ]
    response = bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    same([entry["Id"] for entry in response["Successful"]], ["good"])
    failed("InvalidMessageContents", response, "characters")
    failed("InvalidParameterValue", response, "large")
    failed("MissingParameter", response, "empty")
    failed("InvalidParameterValue", response, "attribute")
    failed("InvalidParameterValue", response, "delay")
    same(len(bench.receive(url, MaxNumberOfMessages=10)), 1)


@check
def batch_rules(bench):
    """batches of all three actions: 1 to 10 entries, distinct and valid ids"""
    url = bench.queue()
    sqs = bench.sqs
    actions = {
        sqs.send_message_batch: {"MessageBody": "x"},
        sqs.delete_message_batch: {"ReceiptHandle": "x"},
        sqs.change_message_visibility_batch: {"ReceiptHandle": "x", "VisibilityTimeout": 1},
    }
    prefix = "AWS.SimpleQueueService."
    for action, content in actions.items():
        def entries(*ids):
            return [{"Id": entry_id, **content} for entry_id in ids]

        refused(prefix + "EmptyBatchRequest", action, QueueUrl=url, Entries=[])
        many = entries(*map(str, range(11)))
        refused(prefix + "TooManyEntriesInBatchRequest", action, QueueUrl=url, Entries=many)
        refused(prefix + "BatchEntryIdsNotDistinct", action, QueueUrl=url, Entries=entries("a", "a"))
        for wrong in ("", "a b", "a:b", "i" * 81):
            refused(prefix + "InvalidBatchEntryId", action, QueueUrl=url, Entries=entries(wrong))
        same(len(action(QueueUrl=url, Entries=entries("i" * 80)).get("Failed", [])), 0 if "MessageBody" in content else 1)


@check
def batch_size(bench):
    """a batch of 1 MiB is accepted, one byte more is BatchRequestTooLong"""
    url = bench.queue()
    entries = [{"Id": str(n), "MessageBody": "x" * (MIB // 8)} for n in range(8)]
    same(len(bench.sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]), 8)
    code = "AWS.SimpleQueueService.BatchRequestTooLong"
    longer = entries + [{"Id": "more", "MessageBody": "y"}]
    response = refused(code, bench.sqs.send_message_batch, QueueUrl=url, Entries=longer)
    same(
        response["Error"]["Message"],
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
    )
    entries[0]["MessageAttributes"] = {"a": text("v")}
    refused(code, bench.sqs.send_message_batch, QueueUrl=url, Entries=entries)
    whole = [{"Id": str(n), "MessageBody": "x" * MIB} for n in range(10)]
    refused(code, bench.sqs.send_message_batch, QueueUrl=url, Entries=whole)
