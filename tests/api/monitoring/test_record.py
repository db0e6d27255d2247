import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.monitoring.record import TraceParent

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@settings(derandomize=True, deadline=None)
@given(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.integers(0, 255))
def test_a_traceparent_is_read(trace: int, parent: int, flags: int) -> None:
    found = TraceParent.parse(f"00-{trace:032x}-{parent:016x}-{flags:02x}")
    assert found == (f"{trace:032x}", f"{parent:016x}", flags % 2 == 1)


def test_later_versions_may_have_more_fields() -> None:
    assert TraceParent.parse(f"cc-{TRACE}-{PARENT}-01-what-the-future") == (TRACE, PARENT, True)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01.more",
    ],
)
def test_a_malformed_traceparent_is_ignored(header: str | None) -> None:
    assert TraceParent.parse(header) is None


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=80))
def test_any_text_may_be_sent(header: str) -> None:
    assert TraceParent.parse(header) is None
