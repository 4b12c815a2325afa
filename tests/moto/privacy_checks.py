"""Data that no signal may contain, after all other checks have run."""

from bench import check


@check
def no_address(bench):
    """no log line and no span contains an e-mail address, at level TRACE"""
    log = bench.log.read_text()
    assert '"level":"TRACE"' in log, "the function does not log at level TRACE"
    for text in (log, bench.receiver.text):
        assert "example.com" not in text, text[max(0, text.index("example.com") - 300) :][:400]
