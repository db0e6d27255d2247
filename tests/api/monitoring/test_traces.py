import sys
from types import MappingProxyType

import pytest
from flask.testing import FlaskClient

from api.monitoring import traces
from tests.conftest import served
from tests.pictures import encode, noise

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_there_are_no_traces_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(traces.ENDPOINT, raising=False)
    assert traces.Tracer.from_environment() is None


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv(traces.ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert traces.Tracer.from_environment() is None
    assert "pip install --group otel" in caplog.text


class Exported:
    """The spans that an application exports to memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        self._exporter = memory.InMemorySpanExporter()
        tracer = traces.Tracer(export.SimpleSpanProcessor(self._exporter))
        monkeypatch.setattr("api.monitoring.requests.process_tracer", lambda: tracer)
        self.client: FlaskClient = served().test_client()

    def spans(self, method: str, path: str, **request: object) -> tuple:
        """That of the request, and those of its stages."""
        self._exporter.clear()
        self.client.open(path, method=method, **request)
        *stages, server = self._exporter.get_finished_spans()
        return server, stages


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Exported:
    return Exported(monkeypatch)


PICTURE = MappingProxyType({"data": encode(noise(1)), "content_type": "image/png"})


def test_a_request_is_a_span_with_its_stages(exported: Exported) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine"}
    server, stages = exported.spans("POST", "/predict", headers=headers, **PICTURE)
    assert (server.name, server.kind.name, server.status.status_code.name) == (
        "POST /predict",
        "SERVER",
        "UNSET",
    )
    assert dict(server.attributes) == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "cifake.request_id": "mine",
    }
    assert server.resource.attributes["service.name"] == "cifake"
    assert f"{server.context.trace_id:032x}" == TRACE
    assert f"{server.parent.span_id:016x}" == PARENT
    assert [stage.name for stage in stages] == ["parse", "decode", "queue", "infer"]
    assert stages[0].start_time == server.start_time
    for earlier, later in zip(stages, [*stages[1:], None], strict=True):
        assert earlier.parent.span_id == server.context.span_id
        assert earlier.end_time == (later.start_time if later else earlier.end_time)
        assert server.start_time <= earlier.start_time <= earlier.end_time <= server.end_time


def test_without_a_valid_header_a_trace_begins(exported: Exported) -> None:
    for headers in ({}, {"traceparent": "00-nonsense"}):
        server, _ = exported.spans("GET", "/livez", headers=headers)
        assert server.parent is None
        assert server.context.trace_id


def test_a_client_may_ask_for_no_trace(exported: Exported) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        exported.spans("GET", "/livez", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})


@pytest.mark.parametrize(
    ("method", "path", "name", "problem"),
    [
        ("GET", "/nowhere", "GET", "not-found"),
        ("BREW", "/predict", "HTTP", "method-not-allowed"),
        ("POST", "/predict", "POST /predict", "unsupported-format"),
    ],
)
def test_problems_are_told(method: str, path: str, name: str, problem: str, exported: Exported) -> None:
    server, stages = exported.spans(method, path, data=b"nonsense")
    assert (server.name, stages, server.attributes["error.type"]) == (name, [], problem)
    assert server.status.status_code.name == "UNSET"  # the client's error


def test_errors_of_the_server_are_errors(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.service.Service.predict", None)
    server, _ = exported.spans("POST", "/predict", **PICTURE)
    assert (server.status.status_code.name, server.attributes["error.type"]) == ("ERROR", "internal-error")
