"""`GET /openapi.json`, and `GET /docs`, a page that shows it and loads nothing from elsewhere."""

from importlib.resources import files

from flask import Blueprint, Response, current_app, jsonify, request, send_from_directory

from api.errors import NotFoundProblem
from api.openapi.document import build_document
from api.parameters import quoted
from api.routes.inference_protocol import max_pictures
from api.security.admission import EXTENSION as KEYS
from api.security.headers import PAGE_POLICY
from api.service import current_service

blueprint = Blueprint("docs", __name__)

FILES = ("favicon-32x32.png", "swagger-ui.css", "swagger-ui-bundle.js")  # of the package flask-swagger-ui
FOLDER = str(files("flask_swagger_ui") / "dist")
START = "start.js"
# Addresses are relative to the page's own, so that they hold behind a proxy that removes a prefix.
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>cifake-detector</title>
<link rel="icon" href="docs/{FILES[0]}">
<link rel="stylesheet" href="docs/{FILES[1]}">
<div id="swagger-ui"></div>
<script src="docs/{FILES[2]}"></script>
<script src="docs/{START}"></script>
</html>
"""
SCRIPT = """window.onload = () => {
  SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
};
"""


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The description of the service in OpenAPI 3.1."""
    service = current_service()
    return jsonify(
        build_document(
            service.settings,
            service.predictor.preprocess.size,
            max_pictures(service.settings),
            with_keys=KEYS in current_app.extensions,
            base_path=request.root_path,
        )
    )


@blueprint.get("/docs")
def docs() -> Response:
    """The page."""
    return Response(PAGE, mimetype="text/html", headers={"Content-Security-Policy": PAGE_POLICY})


@blueprint.get("/docs/<name>")
def docs_file(name: str) -> Response:
    """A file that the page loads."""
    if name == START:
        response = Response(SCRIPT, mimetype="text/javascript")
    elif name in FILES:
        response = send_from_directory(FOLDER, name)
    else:
        raise NotFoundProblem(f"the page has no file {quoted(name)}")
    response.headers["Cache-Control"] = "max-age=3600"
    return response
