"""What api.server.worker tells the application of a request, by its names in the WSGI environment."""

BEGUN = "cifake.begun"
"""When the request's first byte came, by time.monotonic()."""

REFUSED = "cifake.refused"
"""There if no thread is free for the request."""
