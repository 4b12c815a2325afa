"""What a table that does not answer as it should costs: time within bounds, another delivery, and no message."""

import json
import socket

from bench import check, same
from function import TIMEOUT
from table import breaking_off, hanging, passing_on, refusing

# The function's own: attempts of one call.
ATTEMPTS = 3


def fails_with(bench, error_type, call_error_type, *behaviours):
    """Checks that a message is reported as retryable, under these names."""
    process, put, requests, seconds = bench.fails(*behaviours)
    same((process.attributes["error.type"], process.failed), (error_type, True))
    same((put.attributes["error.type"], put.failed), (call_error_type, True))
    line = json.loads(bench.logged('"message failed"')[-1])
    same((line["error.type"], line["retryable"]), (error_type, True))
    assert seconds < TIMEOUT, f"it took {seconds} s"
    return put, requests


@check
def throttled_at_first(bench):
    """a throttled put is tried again and succeeds"""
    bench.table.behave(refusing(400, "ThrottlingException"), passing_on)
    record = bench.new_message("c-throttled")
    same(bench.function.handle(record).failed, [])
    same((bench.table.requests, bench.table.item("c-throttled")["plan"]), (2, "team"))


@check
def answer_lost(bench):
    """a put whose answer was lost is found done, and not taken for another message's"""
    def losing_the_answer(handler, body):
        handler.answer = lambda *_: None
        passing_on(handler, body)
        breaking_off(handler, body)

    bench.table.behave(losing_the_answer, passing_on)
    record = bench.new_message("c-lost")
    same(bench.function.handle(record).failed, [])
    same((bench.table.requests, bench.table.item("c-lost")["message_id"]), (2, record["messageId"]))


@check
def throttled(bench):
    """throttling that does not end is store_throttled, whatever DynamoDB calls it"""
    for code in ("ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"):
        put, requests = fails_with(bench, "store_throttled", code, refusing(400, code))
        same((requests, put.attributes["db.response.status_code"]), (ATTEMPTS, code))
        same(put.attributes["aws.request_id"], "refused-1")


@check
def server_error(bench):
    """a fault of DynamoDB's is store_unavailable"""
    _, requests = fails_with(bench, "store_unavailable", "InternalServerError", refusing(500, "InternalServerError"))
    same(requests, ATTEMPTS)


@check
def denied(bench):
    """a put that the role does not allow is store_refused, and tried once: the message stays until somebody has mended it"""
    _, requests = fails_with(bench, "store_refused", "AccessDeniedException", refusing(400, "AccessDeniedException"))
    same(requests, 1)


@check
def broken_connection(bench):
    """a connection that breaks is store_unreachable"""
    fails_with(bench, "store_unreachable", "io", breaking_off)


@check
def hanging_table(bench):
    """a table that never answers is store_timeout, for a whole batch at once and before the function's time is up"""
    process, put, _, seconds = bench.fails(hanging, messages=10)
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_timeout", "timeout"))
    assert seconds < TIMEOUT, f"it took {seconds} s"


@check
def afterwards(bench):
    """the function goes on when the table does"""
    same(bench.function.handle(bench.new_message("c-afterwards")).failed, [])


@check
def table_missing(bench):
    """a table that is not there is store_refused"""
    with bench.another_function(TABLE_NAME="elsewhere") as function:
        record = bench.new_message()
        same(function.handle(record).failed, [record["messageId"]])
    spans = bench.receiver.taken()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_refused", "ResourceNotFoundException"))
    same(put.name, "PutItem elsewhere")


@check
def nobody_listens(bench):
    """an endpoint where nobody listens is store_unreachable"""
    with socket.socket() as reserved:
        # Bound, and never listening: no other process can take the port meanwhile.
        reserved.bind(("127.0.0.1", 0))
        nowhere = "http://127.0.0.1:{}".format(reserved.getsockname()[1])
        with bench.another_function(AWS_ENDPOINT_URL_DYNAMODB=nowhere) as function:
            record = bench.new_message()
            same(function.handle(record).failed, [record["messageId"]])
    spans = bench.receiver.taken()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_unreachable", "io"))


@check
def no_credentials(bench):
    """a function without credentials is store_failed, and does not wait for them until its time is up"""
    nowhere = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    # Otherwise the SDK would ask a machine on EC2.
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
    bench.table.behave(passing_on)
    with bench.another_function(**none, **nowhere) as function:
        record = bench.new_message("c-no-credentials")
        answer = function.handle(record)
    same(answer.failed, [record["messageId"]])
    assert answer.seconds < TIMEOUT, f"it took {answer.seconds} s"
    same((bench.table.requests, bench.table.item("c-no-credentials")), (0, None))
    spans = bench.receiver.taken()
    [process], [put] = spans["process"], spans["PutItem"]
    same((process.attributes["error.type"], put.attributes["error.type"]), ("store_failed", "_OTHER"))
    same((process.failed, put.failed), (True, True))
    line = json.loads(bench.logged('"message failed"')[-1])
    assert line["retryable"] and "credentials" in line["error.message"], line
