"""Records each request for the metrics, the log and the traces."""

import time

from flask import Flask, Response, abort, g, request

from api.monitoring import metrics
from api.monitoring.record import RECORD, RequestRecord, TraceParent
from api.monitoring.traces import process_tracer
from api.server.environ import METRICS_LISTENER

# Others are one label, `_OTHER`, as in OpenTelemetry's semantic conventions.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def register_monitoring(app: Flask) -> None:
    """Record every answer of the application. Call `register_errors` first: it sets what is read here."""
    tracer = process_tracer()

    @app.before_request
    def keep_metrics_apart() -> None:
        """Answer 404 to `/metrics` elsewhere than at CIFAKE_METRICS_BIND, and there to everything else."""
        for_metrics = request.environ.get(METRICS_LISTENER)
        if for_metrics is not None and for_metrics != (request.endpoint == "metrics.metrics"):
            abort(404)

    @app.after_request
    def record_request(response: Response) -> Response:
        environ, rule, method = request.environ, request.url_rule, request.method
        record = RequestRecord(
            route=rule.rule if rule else "unmatched",
            method=method if method in METHODS else "_OTHER",
            status=response.status_code,
            problem=g.get("problem"),
            request_id=g.request_id,
            parent=TraceParent.parse(environ.get("HTTP_TRACEPARENT")),
            started_at=g.started_at,
            seconds=time.monotonic() - g.started_at,
            stages=g.get("stages", {}),
        )
        environ[RECORD] = record
        metrics.count_request(record)
        if tracer is not None:
            tracer.trace(record)
        return response
