"""Outages of the table: messages are redelivered within the time limit, and no message is lost."""

import json
import socket

from bench import check, same
from function import TIMEOUT
from table import NAME, close_connection, hang, pass_on, refuse_with

# The function's attempts per call.
ATTEMPTS = 3


def fails_with(bench, error_type, call_error_type, *behaviours):
    """Checks that a message is reported as retryable, with these error types."""
    process, put, requests, seconds = bench.fails(*behaviours)
    same((process.attributes["error.type"], process.failed), (error_type, True))
    same((put.attributes["error.type"], put.failed), (call_error_type, True))
    line = json.loads(bench.logged('"message failed"')[-1])
    same((line["error.type"], line["retryable"]), (error_type, True))
    assert seconds < TIMEOUT, f"took {seconds} s"
    return put, requests


@check
def durations(bench):
    """the duration of each call is a metric, with the error type of a call that fails"""
    bench.receiver.take_durations("")
    same(bench.function.handle(bench.new_message()).failed, [])
    bench.fails(refuse_with(400, "ThrottlingException"))
    call = {"db.system.name": "aws.dynamodb", "db.operation.name": "PutItem", "db.collection.name": NAME}
    expected = [(call, 1), ({**call, "error.type": "ThrottlingException"}, 1)]
    same(bench.receiver.take_durations("db.client.operation.duration"), expected)


@check
def throttled_at_first(bench):
    """a throttled put is retried and succeeds"""
    bench.table.behave(refuse_with(400, "ThrottlingException"), pass_on)
    record = bench.new_message("c-throttled")
    same(bench.function.handle(record).failed, [])
    same((bench.table.requests, bench.table.item("c-throttled")["plan"]), (2, "team"))


@check
def response_lost(bench):
    """a put whose response was lost is retried, and recognised as done by the same message"""
    def lose_response(handler, body):
        handler.respond = lambda *_: None
        pass_on(handler, body)
        close_connection(handler, body)

    bench.table.behave(lose_response, pass_on)
    record = bench.new_message("c-lost")
    same(bench.function.handle(record).failed, [])
    same((bench.table.requests, bench.table.item("c-lost")["message_id"]), (2, record["messageId"]))


@check
def throttled(bench):
    """continued throttling is store_throttled, for each of DynamoDB's error codes"""
    for code in ("ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"):
        put, requests = fails_with(bench, "store_throttled", code, refuse_with(400, code))
        same((requests, put.attributes["db.response.status_code"]), (ATTEMPTS, code))
        same(put.attributes["aws.request_id"], "refused-1")


@check
def server_error(bench):
    """a server error of DynamoDB is store_unavailable"""
    _, requests = fails_with(bench, "store_unavailable", "InternalServerError", refuse_with(500, "InternalServerError"))
    same(requests, ATTEMPTS)


@check
def denied(bench):
    """a put that the role does not allow is store_refused after one attempt, and retryable"""
    _, requests = fails_with(bench, "store_refused", "AccessDeniedException", refuse_with(400, "AccessDeniedException"))
    same(requests, 1)


@check
def broken_connection(bench):
    """a closed connection is store_unreachable"""
    fails_with(bench, "store_unreachable", "io", close_connection)


@check
def hanging_table(bench):
    """a table that hangs is store_timeout for each message of a batch, before the function's timeout"""
    process, put, _, seconds = bench.fails(hang, messages=10)
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_timeout", "timeout"))
    assert seconds < TIMEOUT, f"took {seconds} s"


@check
def afterwards(bench):
    """the function works again after the outage"""
    same(bench.function.handle(bench.new_message("c-afterwards")).failed, [])


@check
def table_missing(bench):
    """a missing table is store_refused"""
    with bench.another_function(TABLE_NAME="elsewhere") as function:
        record = bench.new_message()
        same(function.handle(record).failed, [record["messageId"]])
    spans = bench.receiver.take_spans()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_refused", "ResourceNotFoundException"))
    same(put.name, "PutItem elsewhere")


@check
def no_listener(bench):
    """an endpoint without a listener is store_unreachable"""
    with socket.socket() as reserved:
        # Bound but not listening, so that no other process can use the port.
        reserved.bind(("127.0.0.1", 0))
        nowhere = "http://127.0.0.1:{}".format(reserved.getsockname()[1])
        with bench.another_function(AWS_ENDPOINT_URL_DYNAMODB=nowhere) as function:
            record = bench.new_message()
            same(function.handle(record).failed, [record["messageId"]])
    spans = bench.receiver.take_spans()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_unreachable", "connect"))


@check
def no_credentials(bench):
    """missing credentials are store_failed, before the function's timeout"""
    nowhere = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    # Otherwise the SDK would request credentials from EC2's metadata service.
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
    bench.table.behave(pass_on)
    with bench.another_function(**none, **nowhere) as function:
        record = bench.new_message("c-no-credentials")
        response = function.handle(record)
    same(response.failed, [record["messageId"]])
    assert response.seconds < TIMEOUT, f"took {response.seconds} s"
    same((bench.table.requests, bench.table.item("c-no-credentials")), (0, None))
    spans = bench.receiver.take_spans()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_failed", "_OTHER"))
    same((process.failed, put.failed), (True, True))
    line = json.loads(bench.logged('"message failed"')[-1])
    assert line["retryable"] and "credentials" in line["error.message"], line
