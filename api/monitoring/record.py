"""What the metrics, the log and the traces tell of one request."""

import re
from collections.abc import Mapping
from typing import NamedTuple, Self

RECORD = "cifake.record"
"""Key of the `RequestRecord` in the WSGI environment of a request that the application has answered."""

KEY_NAME = "cifake.key_name"
"""Key of the name of the API key, not the key itself, in the WSGI environment of a request that has one."""

TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace_id>[0-9a-f]{32})"
    r"-(?!0{16})(?P<parent_id>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)


class TraceParent(NamedTuple):
    """The header `traceparent` (W3C Trace Context). trace_id, parent_id: 32 and 16 hexadecimal digits."""

    trace_id: str
    parent_id: str
    sampled: bool

    @classmethod
    def parse(cls, header: str | None) -> Self | None:
        """None without the header or if it is malformed: then the standard has it ignored."""
        found = TRACEPARENT.fullmatch(header) if header else None
        if not found or (found["version"] == "00" and found["rest"] is not None):
            return None
        return cls(found["trace_id"], found["parent_id"], bool(int(found["flags"], 16) & 1))


class RequestRecord(NamedTuple):
    """One request and its answer.

    route: the rule of the endpoint, such as `/predict`, `unmatched`, or `unparsed` where gunicorn refused the
    request before the application saw it. method: one of METHODS, or `_OTHER`.
    problem: the last part of the problem's `type`, such as `too-large`, if the answer is one. started_at:
    when the first byte came, by time.monotonic(). seconds: from then until the answer was ready to be sent.
    stages: seconds of each stage of the work, one after the other, as the header `Server-Timing` has them.
    """

    route: str
    method: str
    status: int
    problem: str | None
    request_id: str
    parent: TraceParent | None
    started_at: float
    seconds: float
    stages: Mapping[str, float]
