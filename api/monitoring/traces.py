"""Traces by OpenTelemetry: a span for each request, and one for each stage of its work.

Needs the packages of the dependency group `otel`, and OTEL_EXPORTER_OTLP_ENDPOINT. OpenTelemetry's other
variables, such as OTEL_TRACES_SAMPLER, hold too.
"""

import logging
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Self

from api.monitoring.record import RequestRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

log = logging.getLogger(__name__)


class Tracer:
    """Makes spans of answered requests and gives them to a processor."""

    def __init__(self, processor: "SpanProcessor") -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        self._api = trace
        name = os.environ.get("OTEL_SERVICE_NAME", "cifake")
        resource = Resource.create({"service.name": name, "service.instance.id": str(os.getpid())})
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("cifake")

    @classmethod
    def from_environment(cls) -> Self | None:
        """One that exports in a thread of its own; None without an endpoint, or without the packages."""
        if not os.environ.get(ENDPOINT):
            return None
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            log.warning("%s is set, but there are no traces: %s: pip install --group otel", ENDPOINT, error)
            return None
        return cls(BatchSpanProcessor(OTLPSpanExporter()))

    def trace(self, record: RequestRecord) -> None:
        """End the spans of a request now, with the attributes of the semantic conventions for HTTP."""
        end = time.time_ns()
        start = end - round(record.seconds * 1e9)
        matched, known = record.route != "unmatched", record.method != "_OTHER"
        span = self._tracer.start_span(
            f"{record.method if known else 'HTTP'}{f' {record.route}' if matched else ''}",
            context=self._parent(record),
            kind=self._api.SpanKind.SERVER,
            start_time=start,
            attributes={
                "http.request.method": record.method,
                "http.response.status_code": record.status,
                "cifake.request_id": record.request_id,
                **({"http.route": record.route} if matched else {}),
                **({"error.type": record.problem} if record.problem else {}),
            },
        )
        if record.status >= 500:
            span.set_status(self._api.StatusCode.ERROR)
        context = self._api.set_span_in_context(span)
        for stage, seconds in record.stages.items():
            child = self._tracer.start_span(stage, context=context, start_time=start)
            start += round(seconds * 1e9)
            child.end(start)
        span.end(end)

    def _parent(self, record: RequestRecord) -> "Context":
        """The context of the client's span, or an empty one."""
        from opentelemetry.context import Context

        if record.parent is None:
            return Context()
        client = self._api.SpanContext(
            int(record.parent.trace_id, 16),
            int(record.parent.parent_id, 16),
            is_remote=True,
            trace_flags=self._api.TraceFlags(record.parent.sampled),
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(client), Context())


process_tracer = cache(Tracer.from_environment)
"""That of this process. Called in the workers only: its thread would not survive the fork."""
