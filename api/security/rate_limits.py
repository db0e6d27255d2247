"""Limits on how often a client may ask (CIFAKE_RATE_LIMIT), with the headers that tell it."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import NamedTuple

from limits import parse_many

from api.security.counters import COUNTERS, SharedCounters


class Limit(NamedTuple):
    """name: such as `600 per 1 minute`. amount: of requests in a period. period: its seconds."""

    name: str
    amount: int
    period: int


class Count(NamedTuple):
    """allowed: whether the request may be answered. headers: of its answer, with `Retry-After` if not."""

    allowed: bool
    headers: Mapping[str, str]


class RateLimits:
    """Counts requests of each client in periods of fixed length that begin with a client's first request.

    limits: as the package `limits` notes them, such as `600/minute` or `10/second; 600/minute`. Raises
    ValueError.
    """

    def __init__(self, limits: str, counters: SharedCounters = COUNTERS) -> None:
        self._limits = [Limit(str(one), one.amount, one.get_expiry()) for one in parse_many(limits)]
        self._counters = counters
        self._policy = ", ".join(f'"{name}";q={amount};w={period}' for name, amount, period in self._limits)

    def count(self, client: str) -> Count:
        """Count a request, whose answer has RateLimit and RateLimit-Policy.

        These are of draft-ietf-httpapi-ratelimit-headers-10: `q` is the number of requests in a period of
        `w` seconds, `r` how many remain, and `t` the seconds until the period ends.
        """
        states, waits = [], []
        for name, amount, period in self._limits:
            count, left = self._counters.count(f"{name} {client}", period)
            seconds = ceil(left)
            states.append(f'"{name}";r={max(0, amount - count)};t={seconds}')
            if count > amount:
                waits.append(seconds)
        headers = {"RateLimit-Policy": self._policy, "RateLimit": ", ".join(states)}
        if waits:
            headers["Retry-After"] = str(max(waits))
        return Count(not waits, headers)


@lru_cache(maxsize=4096)
def network(address: str) -> str:
    """What a client is counted by: its IPv4 address, or the /64 of IPv6, which is one customer's."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address  # of a proxy that writes other words
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
