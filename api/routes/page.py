"""`GET /`: the page. Flask's own route `/static/` serves the files that it loads, from api/static."""

import mimetypes

from flask import Blueprint, Response, current_app

from api.security.headers import PAGE_POLICY

blueprint = Blueprint("page", __name__)

# Python 3.11 has the name that RFC 9239 made obsolete, where the machine has no /etc/mime.types.
mimetypes.add_type("text/javascript", ".js")


@blueprint.get("/")
def page() -> Response:
    """The page, which browsers ask for again each time, with its ETag; so they do with its files."""
    response = current_app.send_static_file("index.html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response
