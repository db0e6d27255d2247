import json
import logging
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from api.security.key_file import Key
from api.security.redaction import RedactingFormatter, RedactingJsonFormatter, redact

_, TEXT = Key.new("alice", "user")


@settings(derandomize=True, deadline=None)
@given(st.text(), st.text())
def test_a_key_is_removed_from_any_text(before: str, after: str) -> None:
    redacted = redact(before + TEXT + after)
    assert TEXT not in redacted
    assert redacted.startswith(f"{before}cifake_***")
    assert redact(before) == before


def test_no_format_has_a_key() -> None:
    try:
        raise ValueError(f"of {TEXT}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "with %s", (TEXT,), sys.exc_info())
    record.extra = {"key": TEXT}
    text = RedactingFormatter("%(message)s").format(record)
    line = RedactingJsonFormatter(("message",)).format(record)
    assert json.loads(line)["message"] == "with cifake_***"
    for formatted in (text, line):
        assert "of cifake_***" in formatted
        assert TEXT not in formatted
