"""The set-up of the checks: a table, a function that writes to it, and a receiver of its spans."""

import contextlib
import itertools

from function import Function, message
from spans import Receiver
from table import NAME, Table, pass_on

CHECKS = []


def check(function):
    """Registers a check; the first line of its documentation is its title."""
    CHECKS.append(function)
    return function


def same(found, expected):
    assert found == expected, f"expected {expected!r}, found {found!r}"


class Bench:
    def __init__(self, binary, log):
        self.binary = binary
        self.log = log
        self.numbers = itertools.count(1)
        self.table = Table()
        self.receiver = Receiver()
        self.function = Function(binary, log, self.variables())

    def variables(self, **changes):
        """Returns the function's variables, in addition to those that Lambda sets."""
        return {
            "TABLE_NAME": NAME,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{self.table.server.address}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.receiver.server.address}",
            # The most verbose level, so that the log would contain data that must not be logged.
            "RUST_LOG": "trace",
            **changes,
        }

    @contextlib.contextmanager
    def another_function(self, **changes):
        """Starts a second function with these variables changed."""
        self.receiver.take_spans()
        function = Function(self.binary, self.log, self.variables(**changes))
        try:
            yield function
        finally:
            function.stop()

    def new_message(self, customer_id=None, **fields):
        """Returns a message with a new id, for a new customer unless `customer_id` is given."""
        number = next(self.numbers)
        return message(f"00000000-0000-4000-8000-{number:012}", customer_id or f"c-{number}", **fields)

    def fails(self, *behaviours, messages=1):
        """Handles new messages while the table shows these behaviours, and checks that all are reported as failed.

        Returns a process span, a PutItem span, the number of requests, and the duration in seconds.
        """
        self.receiver.take_spans()
        self.table.behave(*behaviours)
        batch = [self.new_message() for _ in range(messages)]
        try:
            response = self.function.handle(*batch)
        finally:
            requests = self.table.requests
            self.table.behave(pass_on)
        same(sorted(response.failed), sorted(record["messageId"] for record in batch))
        spans = self.receiver.take_spans()
        same((len(spans["process"]), len(spans["PutItem"])), (messages, messages))
        return spans["process"][0], spans["PutItem"][0], requests, response.seconds

    def logged(self, text):
        """Returns the lines of the functions' log that contain a text, except a line that is still being written."""
        return [line for line in self.log.read_text().split("\n")[:-1] if text in line]

    def stop(self):
        self.function.stop()
        self.table.stop()
        self.receiver.server.close()
