"""Headers of all answers that tell browsers what not to do with them."""

from collections.abc import Mapping

from flask import Flask, Response

SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Of pages: nothing of another origin, and no script or style within the page. Pictures may also be data URLs,
# as Swagger UI's icons are, and files that were chosen (blob:).
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def register_headers(app: Flask) -> None:
    """Add these headers to all answers, which keep those that they have: pages set a policy of their own."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        present = {name.lower() for name, _ in response.headers}
        response.headers.extend(
            (name, value) for name, value in SECURITY_HEADERS.items() if name.lower() not in present
        )
        return response
