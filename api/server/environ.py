"""Keys that api.server.worker adds to the WSGI environment of a request."""

FIRST_BYTE_AT = "cifake.first_byte_at"
"""When the request's first byte arrived, by time.monotonic()."""

REJECTED = "cifake.rejected"
"""Present if the worker is overloaded and the request must be answered with 429."""
