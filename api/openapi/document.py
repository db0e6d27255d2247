"""The description of the service in OpenAPI 3.1.1, with the limits of its settings."""

from typing import Any

from api.openapi.inference_protocol import inference_protocol_paths, inference_protocol_schemas
from api.openapi.operation import EVERYWHERE, Paths
from api.openapi.pictures import picture_paths
from api.openapi.responses import header_components, problem_components, problems
from api.openapi.schemas import answer_schemas
from api.openapi.service import service_paths
from api.settings import Settings

DESCRIPTION = """Tells photographs (REAL) from generated pictures (FAKE). `prediction` is P(REAL).

Errors are `application/problem+json` (RFC 9457). Those of the server itself, before it has read a request,
have the statuses 400, 408, 414, 429, 431, 501 or 503 at any path. Unknown or repeated query parameters are
answered 400.
"""


def build_document(
    settings: Settings, size: int, max_pictures: int, *, with_keys: bool, base_path: str = ""
) -> dict[str, Any]:
    """The document as an object.

    size: of the network's pictures. max_pictures: of a request to `/v2`. with_keys: whether the service asks
    for API keys. base_path: what proxies in front have removed from the path, such as `/detector`.
    """
    components: dict[str, Any] = {
        "schemas": answer_schemas() | inference_protocol_schemas(size, max_pictures),
        "responses": problem_components(with_keys),
        "headers": header_components(),
    }
    document: dict[str, Any] = {
        "openapi": "3.1.1",
        "info": {"title": "cifake-detector", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": base_path or "/"}],
        "tags": [{"name": name} for name in ("pictures", "jobs", "Open Inference Protocol", "service")],
        "paths": _paths(settings, max_pictures, with_keys),
        "components": components,
    }
    if with_keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
    return document


def _paths(settings: Settings, max_pictures: int, with_keys: bool) -> Paths:
    paths = picture_paths(settings) | inference_protocol_paths(max_pictures) | service_paths(settings)
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"] |= problems(*EVERYWHERE)
            if with_keys and "security" not in operation:
                operation["responses"] |= problems(401)
    return paths
