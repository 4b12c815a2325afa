"""What keeps the function from starting."""

import pathlib
import tempfile

from bench import check, same
from function import PATIENCE, Function


def refused(bench, **changes):
    """What a function with these variables says before it ends."""
    with tempfile.TemporaryDirectory() as directory:
        log = pathlib.Path(directory, "log")
        function = Function(bench.binary, log, bench.variables(**changes))
        try:
            code = function.process.wait(PATIENCE)
        finally:
            function.stop()
        same(code, 1)
        return log.read_text()


@check
def impossible_name(bench):
    """a name that no table can have is refused at the start, and named"""
    said = refused(bench, TABLE_NAME="on boardings")
    assert said.endswith('TABLE_NAME: expected 3 to 255 letters, digits, _, - or ., found "on boardings"\n'), said


@check
def no_region(bench):
    """a table without a region is refused at the start"""
    # The SDK would look for a region in the user's own files, and ask a machine on EC2.
    said = refused(bench, AWS_REGION=None, AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null")
    assert "no region is known" in said, said
