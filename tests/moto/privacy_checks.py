"""What must not be seen anywhere, after everything that the other checks have done."""

from bench import check


@check
def no_address(bench):
    """no e-mail address is in a log line or on a span, at the level trace"""
    log = bench.log.read_text()
    assert '"level":"TRACE"' in log, "the function logs at the level trace"
    for text in (log, bench.receiver.text):
        assert "example.com" not in text, text[max(0, text.index("example.com") - 300) :][:400]
