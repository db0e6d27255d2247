"""Checks the key of each request, and counts it, before anything of its body is read."""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from flask import Flask, Response, g, request

from api.errors import Problem
from api.monitoring.record import KEY_NAME
from api.security.key_file import Key
from api.security.key_ring import KeyRing
from api.security.rate_limits import RateLimits, network
from api.server.environ import METRICS_LISTENER
from api.settings import Settings

EXTENSION = "cifake-keys"  # the key in Flask's `app.extensions`; it is absent without CIFAKE_KEYS_FILE

# Rules that need no key and are not counted: probes, the pages that ask for a key, and the files of these
# pages, of which a browser loads many at once.
PROBES = ("/livez", "/readyz", "/v2/health/")
PAGES = frozenset({"/", "/docs"})
FILES = ("/docs/", "/static/")
# It needs no key either, but is counted: it is made anew for each request.
COUNTED = "/openapi.json"

HOW_TO_SEND = "send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"


class NoKeyProblem(Problem):
    """The request has no key (RFC 6750, section 3)."""

    status, slug = HTTPStatus.UNAUTHORIZED, "unauthorized"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class WrongKeyProblem(NoKeyProblem):
    """The request's key is not one of the file's, or not any more."""

    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class ForbiddenProblem(Problem):
    """The request's key may not do this."""

    status, slug = HTTPStatus.FORBIDDEN, "forbidden"


class RateLimitedProblem(Problem):
    """The client has asked too often. `Retry-After` is set with the other headers of the limit."""

    status, slug = HTTPStatus.TOO_MANY_REQUESTS, "rate-limited"


def register_admission(app: Flask, settings: Settings) -> None:
    """Let in what the settings allow; without keys and a limit, everything.

    A file of keys that cannot be read lets nobody in: call `load_keys` to have it as an error.
    """
    keys = KeyRing(Path(settings.keys_file)) if settings.keys_file != "none" else None
    limits = RateLimits(settings.rate_limit) if settings.rate_limit != "none" else None
    if keys is not None:
        app.extensions[EXTENSION] = keys

    @app.before_request
    def admit() -> None:
        # OPTIONS tells methods, and browsers send it without a key before a page's request.
        rule = request.url_rule.rule if request.url_rule else ""
        if request.method == "OPTIONS" or _is_free(rule):
            return
        sent = _sent_key() if keys else None
        key = keys.find(sent) if keys else None
        if key is not None:
            g.key = key
            request.environ[KEY_NAME] = key.name
        if limits is not None:
            _limit(limits, key)
        if keys is not None and key is None and rule != COUNTED:
            if sent is None:
                raise NoKeyProblem(f"this needs an API key: {HOW_TO_SEND}")
            raise WrongKeyProblem("this is not an API key that the service knows: ask its operator for one")

    @app.after_request
    def add_limit(response: Response) -> Response:
        response.headers.extend(g.get("limit_headers", {}))
        return response


def load_keys(app: Flask) -> None:
    """Read the file of keys. Raises KeyFileError."""
    if EXTENSION in app.extensions:
        app.extensions[EXTENSION].load()


def require_admin(app: Flask) -> None:
    """Raise ForbiddenProblem unless the current request has an administrator's key."""
    if EXTENSION not in app.extensions:
        raise ForbiddenProblem(
            "this needs an administrator's key, and the service has no keys: make one with `python -m "
            "api.keys new NAME --admin --file FILE`, and start the service with CIFAKE_KEYS_FILE=FILE"
        )
    key: Key = g.key
    if key.role != "admin":
        raise ForbiddenProblem(f"the key {key.name} is not an administrator's")


def _limit(limits: RateLimits, key: Key | None) -> None:
    client = f"key {key.name}" if key else f"address {network(request.remote_addr or '')}"
    count = limits.count(client)
    g.limit_headers = count.headers
    if not count.allowed:
        seconds = count.headers["Retry-After"]
        raise RateLimitedProblem(f"{client} has asked too often: retry in {seconds} s")


def _is_free(rule: str) -> bool:
    """Whether the request is for a probe, a page or its files, or for metrics at an address of their own."""
    metrics_only: bool = request.environ.get(METRICS_LISTENER, False)
    return metrics_only or rule in PAGES or rule.startswith(PROBES + FILES)


def _sent_key() -> str | None:
    """The key of `Authorization: Bearer` (RFC 6750), or else of `X-API-Key`."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    return request.headers.get("X-API-Key")
