"""A DynamoDB table of moto behind a proxy that can refuse, hang, close the connection or change a request."""

import collections
import http.client
import json
import logging
import threading

import boto3
from moto.server import ThreadedMotoServer

from servers import Handler, Server

NAME = "onboardings"
REGION = "eu-central-1"
# Seconds after which a hanging connection is closed: much more than every timeout of the function.
HANG_SECONDS = 20.0
# Headers that apply to a single connection, and are not passed on.
REWRITTEN = ("connection", "content-length", "host")

logging.getLogger("werkzeug").setLevel(logging.ERROR)


def pass_on(handler, body):
    """Passes the request to moto."""
    upstream = http.client.HTTPConnection(handler.server.owner.upstream, timeout=HANG_SECONDS)
    headers = {name: value for name, value in handler.headers.items() if name.lower() not in REWRITTEN}
    upstream.request("POST", handler.path, body, headers)
    response = upstream.getresponse()
    kept = {name: value for name, value in response.getheaders() if name.lower().startswith(("x-amz", "content-type"))}
    handler.respond(response.status, response.read(), kept)


def without_item(handler, body):
    """Passes the request to moto without `ReturnValuesOnConditionCheckFailure`, as an old server would."""
    request = json.loads(body)
    request.pop("ReturnValuesOnConditionCheckFailure", None)
    pass_on(handler, json.dumps(request).encode())


def refuse_with(status, code):
    """Returns a behaviour that responds with an error of DynamoDB."""

    def refuse(handler, _):
        body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "set by the check"}
        headers = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "refused-1"}
        handler.respond(status, json.dumps(body).encode(), headers)

    return refuse


def hang(handler, _):
    """Does not respond until the table is stopped."""
    handler.server.owner.released.wait(HANG_SECONDS)
    handler.close_connection = True


def close_connection(handler, _):
    """Closes the connection without a response."""
    handler.close_connection = True


class Table:
    """A table with behaviours for the next requests: one for each, and the last one for all others."""

    def __init__(self):
        self.moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.moto.start()
        self.upstream = "{}:{}".format(*self.moto.get_host_and_port())
        self.client = boto3.client(
            "dynamodb",
            endpoint_url=f"http://{self.upstream}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        self.client.create_table(
            TableName=NAME,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.released = threading.Event()
        self.behave(pass_on)
        self.server = Server(Front, self)

    def behave(self, *behaviours):
        self.requests = 0
        self.behaviours = collections.deque(behaviours)

    def next_behaviour(self):
        self.requests += 1
        return self.behaviours.popleft() if len(self.behaviours) > 1 else self.behaviours[0]

    def item(self, customer_id):
        """Returns the attributes of a customer, or None."""
        found = self.client.get_item(TableName=NAME, Key={"pk": {"S": f"customer#{customer_id}"}}, ConsistentRead=True)
        return {name: value["S"] for name, value in found["Item"].items()} if "Item" in found else None

    def change(self, customer_id, **texts):
        """Sets attributes of a customer, and creates the customer if necessary."""
        changes = {name: {"Value": {"S": text}} for name, text in texts.items()}
        self.client.update_item(TableName=NAME, Key={"pk": {"S": f"customer#{customer_id}"}}, AttributeUpdates=changes)

    def stop(self):
        self.released.set()
        self.server.close()
        self.moto.stop()


class Front(Handler):
    def do_POST(self):
        body = self.body()
        self.server.owner.next_behaviour()(self, body)
