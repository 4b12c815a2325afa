"""The content of the table after each message."""

import json

from bench import check, same
from function import message
from table import NAME, pass_on, without_item


@check
def new_customer(bench):
    """a new customer is stored, in a CLIENT span under the message's span"""
    record = bench.new_message("c-new", referrer="c-friend")
    same(bench.function.handle(record).failed, [])
    expected = {
        "pk": "customer#c-new",
        "message_id": record["messageId"],
        "customer_id": "c-new",
        "email": "c-new@example.com",
        "plan": "team",
        "referrer": "c-friend",
    }
    same(bench.table.item("c-new"), expected)
    spans = bench.receiver.take_spans()
    [process], [put] = spans["process"], spans["PutItem"]
    same((put.name, put.is_client, put.failed), (f"PutItem {NAME}", True, False))
    same((put.trace, put.parent), (process.trace, process.id))
    assert put.attributes.pop("aws.request_id")
    host, port = bench.table.server.address.split(":")
    attributes = {
        "db.system.name": "aws.dynamodb",
        "db.operation.name": "PutItem",
        "db.collection.name": NAME,
        "aws.dynamodb.table_names": [NAME],
        "cloud.region": "eu-central-1",
        "server.address": host,
        "server.port": int(port),
    }
    same(put.attributes, attributes)


@check
def customer_without_referrer(bench):
    """a customer without a referrer has no attribute `referrer`"""
    same(bench.function.handle(bench.new_message("c-alone")).failed, [])
    assert "referrer" not in bench.table.item("c-alone")


@check
def redelivery(bench):
    """a redelivered message succeeds and changes nothing, also if the customer has changed since"""
    record = bench.new_message("c-again")
    same(bench.function.handle(record).failed, [])
    bench.table.change("c-again", plan="enterprise", verified="yes")
    before = bench.table.item("c-again")
    same((before["plan"], before["verified"]), ("enterprise", "yes"))
    bench.receiver.take_spans()
    same(bench.function.handle(record).failed, [])
    same(bench.table.item("c-again"), before)
    [put] = bench.receiver.take_spans()["PutItem"]
    # The condition worked as intended, so the call has not failed.
    same(put.attributes["db.response.status_code"], "ConditionalCheckFailedException")
    assert not put.failed and "error.type" not in put.attributes, put
    same(len(bench.logged("message handled before")), 1)


@check
def another_message(bench):
    """another message for the same customer is a permanent failure and does not change the customer"""
    first, second = bench.new_message("c-taken"), bench.new_message("c-taken", plan="starter")
    same(bench.function.handle(first).failed, [])
    bench.receiver.take_spans()
    same(bench.function.handle(second).failed, [second["messageId"]])
    item = bench.table.item("c-taken")
    same((item["message_id"], item["plan"]), (first["messageId"], "team"))
    spans = bench.receiver.take_spans()
    [process], [put] = spans["process"], spans["PutItem"]
    same(process.attributes["error.type"], "customer_exists")
    # The condition worked as intended, as for a redelivery.
    same(put.attributes["db.response.status_code"], "ConditionalCheckFailedException")
    assert not put.failed and "error.type" not in put.attributes, put


@check
def customer_of_no_message(bench):
    """a customer without a message id counts as existing and is not changed"""
    bench.receiver.take_spans()
    bench.table.change("c-by-hand", plan="enterprise")
    record = bench.new_message("c-by-hand")
    same(bench.function.handle(record).failed, [record["messageId"]])
    same(bench.table.item("c-by-hand"), {"pk": "customer#c-by-hand", "plan": "enterprise"})
    [process] = bench.receiver.take_spans()["process"]
    same(process.attributes["error.type"], "customer_exists")


@check
def item_withheld(bench):
    """a failed condition without the existing item is store_failed, which is retryable"""
    record = bench.new_message("c-withheld")
    same(bench.function.handle(record).failed, [])
    bench.receiver.take_spans()
    bench.table.behave(without_item)
    try:
        same(bench.function.handle(record).failed, [record["messageId"]])
    finally:
        bench.table.behave(pass_on)
    spans = bench.receiver.take_spans()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_failed", "invalid_response"))
    same((json.loads(bench.logged('"message failed"')[-1])["retryable"], put.failed), (True, True))
    same(put.attributes["db.response.status_code"], "ConditionalCheckFailedException")


@check
def message_without_id(bench):
    """a message without an id is not stored: it is message_id_missing, and retryable"""
    nameless = message("", "c-nameless")
    bench.receiver.take_spans()
    bench.table.behave(pass_on)
    response = bench.function.handle(nameless)
    # A message without an id cannot be reported in a partial response.
    assert not response.is_response, response.body
    same((bench.table.requests, bench.table.item("c-nameless")), (0, None))
    [process] = bench.receiver.take_spans()["process"]
    same((process.attributes["error.type"], process.failed), ("message_id_missing", True))
    same(json.loads(bench.logged('"message failed"')[-1])["retryable"], True)
