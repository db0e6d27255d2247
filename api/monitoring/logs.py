"""The log as text, or as JSON with an object a line (CIFAKE_LOG_FORMAT)."""

import logging
import time
from datetime import timedelta
from typing import Any

from flask import g, has_request_context, request
from gunicorn import glogging

from api.monitoring.record import KEY_NAME, RECORD, RequestRecord, TraceParent
from api.security.redaction import RedactingFormatter, RedactingJsonFormatter
from api.settings import load_settings

FIELDS = ("levelname", "name", "process", "message")
NAMES = {"levelname": "level", "name": "logger"}


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's logger; the application's messages go through it too.

    Neither format has the query, which may hold what is nobody's business, nor bodies and names of files, nor
    API keys, wherever a client has put them.
    """

    def setup(self, cfg: Any) -> None:
        """Called at the start, and when the configuration is read again."""
        super().setup(cfg)
        self.json = load_settings().log_format == "json"
        if self.json:
            formatter: logging.Formatter = RedactingJsonFormatter(
                FIELDS, rename_fields=NAMES, timestamp="timestamp"
            )
            access_formatter = formatter
        else:
            formatter = RedactingFormatter(self.error_fmt, self.datefmt)
            access_formatter = RedactingFormatter(self.access_fmt, self.datefmt)
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter)
        for handler in self.access_log.handlers:
            handler.setFormatter(access_formatter)
        root = logging.getLogger()
        self._set_handler(root, cfg.errorlog, formatter)
        self._get_gunicorn_handler(root).addFilter(add_request)
        logging.captureWarnings(self.json)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log a request that was answered. Arguments: gunicorn's."""
        record: RequestRecord | None = environ.get(RECORD)
        if not self.json or record is None:
            super().access(resp, req, environ, request_time)
            return
        fields: dict[str, Any] = {
            "request_id": record.request_id,
            "trace_id": record.parent.trace_id if record.parent else None,
            "client": environ.get("REMOTE_ADDR"),
            "key": environ.get(KEY_NAME),
            "method": record.method,
            "route": record.route,
            "status": record.status,
            "problem": record.problem,
            "bytes": resp.sent,
            "seconds": round(time.monotonic() - record.started_at, 6),
            "stages": {name: round(seconds, 6) for name, seconds in record.stages.items()},
        }
        self.access_log.info("%s %s %d", record.method, record.route, record.status, extra=fields)

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
        """What `access_log_format` may name; `r` is without the query, `key` tells the name of an API key."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        path, question_mark, _ = environ["RAW_URI"].partition("?")
        if question_mark:
            atoms["r"] = f"{atoms['m']} {path} {atoms['H']}"
        atoms["key"] = f" key {environ[KEY_NAME]}" if KEY_NAME in environ else ""
        return atoms


def add_request(record: logging.LogRecord) -> bool:
    """A filter that adds the ids of the request, if one is being answered in this thread."""
    if has_request_context():
        record.request_id = g.get("request_id")
        parent = TraceParent.parse(request.headers.get("traceparent"))
        record.trace_id = parent.trace_id if parent else None
    return True
