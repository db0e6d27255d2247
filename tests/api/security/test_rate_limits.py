import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.security.counters import SharedCounters
from api.security.rate_limits import RateLimits, network

ITEM = re.compile(r'"(?P<amount>\d+) per (?P<count>\d+) (?P<unit>\w+)"(?P<parameters>(;\w=\d+)+)')


def parameters(header: str) -> list[dict[str, int]]:
    """Of each item of a list of structured fields (RFC 9651)."""
    items = []
    for text in header.split(", "):
        item = ITEM.fullmatch(text)
        assert item, text
        items.append({pair[0]: int(pair[2:]) for pair in item["parameters"][1:].split(";")})
    return items


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 20), st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=80))
def test_a_client_is_answered_so_often_in_each_period(amount: int, requests: list[tuple[str, float]]) -> None:
    """A model of it: a list of the times of each client's period. The times are seconds between requests."""
    now, periods = 1000.0, dict[str, list[float]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now)
        limits = RateLimits(f"{amount}/minute", SharedCounters())
        for client, pause in requests:
            now += pause
            period = periods.setdefault(client, [])
            if period and now >= period[0] + 60:
                period.clear()
            period.append(now)
            allowed, headers = limits.count(client)
            assert allowed == (len(period) <= amount)
            [state] = parameters(headers["RateLimit"])
            assert state["r"] == max(0, amount - len(period))
            assert 0 <= state["t"] - (period[0] + 60 - now) < 1.001
            assert headers.get("Retry-After") == (None if allowed else str(state["t"]))
    assert parameters(RateLimits(f"{amount}/minute").count("x").headers["RateLimit-Policy"]) == [
        {"q": amount, "w": 60}
    ]


def test_the_longest_of_several_periods_is_waited_for() -> None:
    limits = RateLimits("2/second; 3 per 2 hours", SharedCounters())
    counts = [limits.count("x") for _ in range(4)]
    assert [count.allowed for count in counts] == [True, True, False, False]
    assert [count.headers.get("Retry-After") for count in counts] == [None, None, "1", "7200"]
    assert parameters(counts[2].headers["RateLimit-Policy"]) == [{"q": 2, "w": 1}, {"q": 3, "w": 7200}]
    assert [state["r"] for state in parameters(counts[2].headers["RateLimit"])] == [0, 0]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),  # of a socket for IPv6 and IPv4
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),  # of a Unix socket
        ("unknown", "unknown"),
    ],
)
def test_what_an_address_is_counted_by(address: str, counted: str) -> None:
    assert network(address) == counted
