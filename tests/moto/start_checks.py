"""Settings with which the function does not start."""

import pathlib
import tempfile

from bench import check, same
from function import WAIT_SECONDS, Function


def refused_output(bench, **changes):
    """Starts a function that must exit with these variables, and returns its output."""
    with tempfile.TemporaryDirectory() as directory:
        log = pathlib.Path(directory, "log")
        function = Function(bench.binary, log, bench.variables(**changes))
        try:
            code = function.process.wait(WAIT_SECONDS)
        finally:
            function.stop()
        same(code, 1)
        return log.read_text()


@check
def impossible_name(bench):
    """an invalid table name is refused at start, with an error that contains it"""
    output = refused_output(bench, TABLE_NAME="on boardings")
    assert output.endswith('TABLE_NAME: expected 3 to 255 letters, digits, _, - or ., found "on boardings"\n'), output


@check
def no_region(bench):
    """a table without a region is refused at start"""
    # Otherwise the SDK would read the region from the user's files or from EC2's metadata service.
    output = refused_output(bench, AWS_REGION=None, AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null")
    assert "no region is known" in output, output
