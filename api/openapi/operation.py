"""Makers of the parts of operations."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.openapi.responses import problems
from api.openapi.schemas import Schema

JSON = "application/json"
BINARY = "application/octet-stream"
EVERYWHERE = (414, 429, 431, 500, 503)  # statuses of problems that any operation may have
UPLOADED = (400, 408, 413, 415, 422, 504, 507)  # and those that read a body

Operation = dict[str, Any]
Paths = dict[str, dict[str, Operation]]


def operation(
    name: str,
    tag: str,
    summary: str,
    responses: Mapping[str, Any],
    statuses: Sequence[int] = (),
    *,
    parameters: Sequence[Any] = (),
    body: Mapping[str, Any] | None = None,
    needs_key: bool = True,
) -> Operation:
    """An operation. name: its id. statuses: of its problems, besides those of all operations."""
    found: Operation = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "responses": {**responses, **problems(*statuses)},
    }
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        found["requestBody"] = {"required": True, "content": body}
    if not needs_key:
        found["security"] = []
    return found


def parameter(place: str, name: str, schema: Schema, text: str, required: bool = False) -> dict[str, Any]:
    """A parameter in the query or a header."""
    return {"in": place, "name": name, "schema": schema, "description": text, "required": required}


def query(name: str, schema: Schema, text: str, required: bool = False) -> dict[str, Any]:
    """A parameter in the query."""
    return parameter("query", name, schema, text, required)


def links(target: str, expression: str, *operation_ids: str) -> dict[str, Any]:
    """Links of a response to operations whose parameter `target` the runtime expression finds in it."""
    return {name: {"operationId": name, "parameters": {target: expression}} for name in operation_ids}


def path(name: str, schema: Schema) -> dict[str, Any]:
    """A parameter in the path."""
    return {"in": "path", "name": name, "required": True, "schema": schema}
