"""Operations on the service itself, and its pages."""

from collections.abc import Sequence

from api.openapi.operation import JSON, Operation, Paths, operation, path
from api.openapi.responses import response
from api.openapi.schemas import STRING, Schema, record, ref
from api.settings import Settings


def service_paths(settings: Settings) -> Paths:
    """The operations by paths and methods; `/metrics` only if it is one of the service's routes."""
    openapi_object = {"type": "object", "required": ["openapi"]}
    docs_file = _get("docs_file", "A file of the page `/docs`", "*/*", STRING, (404,), needs_key=False)
    docs_file["parameters"] = [path("name", STRING)]
    page = _page("page", "The page that people use", "text/html")
    page_file = _page("static", "A file that the page `/` loads", "*/*", (404,))
    page_file["parameters"] = [path("filename", {**STRING, "examples": ["main.js"]})]
    metrics = _get("metrics", "Metrics for Prometheus", "text/plain", STRING)
    return {
        "/": {"get": page},
        "/static/{filename}": {"get": page_file},
        "/livez": {"get": _probe("livez", "alive", "Whether the process answers")},
        "/readyz": {"get": _probe("readyz", "ready", "Whether a picture goes through the model")},
        "/model": {"get": _get("model", "What is served", JSON, ref("Model"))},
        **({"/metrics": {"get": metrics}} if settings.metrics_bind == "same" else {}),
        "/admin/reload": {"post": _reload()},
        "/openapi.json": {"get": _get("openapi", "This description", JSON, openapi_object, needs_key=False)},
        "/docs": {"get": _get("docs", "A page with this description", "text/html", STRING, needs_key=False)},
        "/docs/{name}": {"get": docs_file},
    }


def _get(
    name: str,
    summary: str,
    media_type: str,
    schema: Schema,
    statuses: Sequence[int] = (),
    needs_key: bool = True,
) -> Operation:
    answers = {"200": response(summary, {media_type: schema})}
    return operation(name, "service", summary, answers, statuses, needs_key=needs_key)


def _page(name: str, summary: str, media_type: str, statuses: Sequence[int] = ()) -> Operation:
    answers = {
        "200": response(summary, {media_type: STRING}, "ETag"),
        "304": response("unchanged since the answer with the `ETag` in `If-None-Match`", {}, "ETag"),
    }
    return operation(name, "service", summary, answers, statuses, needs_key=False)


def _probe(name: str, status: str, summary: str) -> Operation:
    return _get(name, summary, JSON, record({"status": {"const": status}}), needs_key=False)


def _reload() -> Operation:
    return operation(
        "reload",
        "service",
        "Serve the checkpoint's file as it is now; this needs an administrator's key",
        {"200": response("the digests of the checkpoints before and after", {JSON: ref("Reload")})},
        (400, 403, 409, 422),
    )
