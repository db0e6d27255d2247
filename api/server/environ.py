"""Keys that api.server.worker adds to the WSGI environment of a request."""

FIRST_BYTE_AT = "cifake.first_byte_at"
"""When the request's first byte arrived, by time.monotonic()."""

DRAINING = "cifake.draining"
"""Present if the server has been told to stop, so that `/readyz` answers 503."""

METRICS_LISTENER = "cifake.metrics_listener"
"""Present if CIFAKE_METRICS_BIND is set: whether the connection was accepted there."""

REJECTED = "cifake.rejected"
"""Present if the worker is overloaded and the request must be answered with 429."""
