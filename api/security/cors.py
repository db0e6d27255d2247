"""Which web pages of other origins may use the service from a browser (CIFAKE_CORS_ORIGINS)."""

from flask import Flask, Response
from flask_cors import CORS

METHODS = ("GET", "HEAD", "POST", "DELETE")
# What a page may read of an answer, besides its body and Content-Type (Fetch standard, section 3.3.3).
EXPOSED = (
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
    "X-Label-1-In-Training-Data",
    "X-Out-Of-Domain-Count",
    "X-Out-Of-Domain-Size-Count",
    "X-Prediction",
    "X-Request-ID",
    "X-Unreadable-Count",
)
PREFLIGHT_SECONDS = 600


def register_cors(app: Flask, origins: str) -> None:
    """Allow pages of these origins. origins: a list with commas, or `*` for all.

    They may send any header. Cookies are not allowed: the service has none, and a key is in a header.
    """
    allowed = [origin.strip() for origin in origins.split(",")]
    CORS(
        app,
        origins=allowed,
        methods=METHODS,
        expose_headers=EXPOSED,
        max_age=PREFLIGHT_SECONDS,
        send_wildcard=True,
        always_send=False,
        vary_header=False,
        intercept_exceptions=False,  # the handlers of api.errors make a response of every exception
    )

    @app.after_request
    def vary(response: Response) -> Response:
        """Tell caches that the answer depends on the origin, also where the request had none."""
        if "*" not in allowed:
            response.vary.add("Origin")
        return response
