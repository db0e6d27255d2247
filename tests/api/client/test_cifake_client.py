"""The client against the application, without a socket, and against answers of a transport that is none."""

import asyncio
import io
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from PIL import Image

from tests.conftest import served
from tests.pictures import encode, zipped

httpx = pytest.importorskip("httpx")

from api.client.cifake_client import AsyncClient, Client, Job, ProblemError, Retries  # noqa: E402

GREY = np.full((32, 32, 3), 51, np.uint8)  # a fifth of white: the stub predicts 0.2
URL = "http://detector.example/prefix"


class Prefixed:
    """The application as if behind a proxy that removes a prefix."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/prefix")
        return self._app.wsgi_app(environ, start_response)


class InThread(httpx.AsyncBaseTransport):
    """Runs a transport that blocks."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        plain = httpx.Request(
            request.method, request.url, headers=request.headers, content=await request.aread()
        )
        response = await asyncio.to_thread(self._transport.handle_request, plain)
        return httpx.Response(response.status_code, headers=response.headers, content=response.read())


class Both:
    """Calls a method of Client, or of AsyncClient in an event loop."""

    def __init__(self, asynchronous: bool, transport: httpx.BaseTransport, **options: Any) -> None:
        self._asynchronous, self._transport, self._options = asynchronous, transport, options

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if not self._asynchronous:
                with Client(URL, transport=self._transport, **self._options) as client:
                    return getattr(client, method)(*arguments, **named)

            async def run() -> Any:
                async with AsyncClient(URL, transport=InThread(self._transport), **self._options) as client:
                    return await getattr(client, method)(*arguments, **named)

            return asyncio.run(run())

        return call


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def client(asynchronous: bool, outputs: Path) -> Iterator[Both]:
    app = served(output_dir=str(outputs))
    yield Both(asynchronous, httpx.WSGITransport(app=Prefixed(app)))
    app.extensions["cifake"].stop()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("10.png", "2.png")]
    for path in paths:
        path.write_bytes(encode(GREY))
    return paths


def test_a_picture_in_each_form(client: Both, paths: list[Path]) -> None:
    for picture in (encode(GREY), paths[0], str(paths[0]), Image.fromarray(GREY)):
        answer = client.predict(picture)
        assert (answer.label, answer.prediction, answer.confidence) == ("FAKE", 0.2, 0.8)
        assert answer.request_id
        assert answer.heat_map is answer.network_input is None


def test_options_of_a_picture(client: Both) -> None:
    answer = client.predict(encode(GREY), abstain=0.9, explain=True, provenance=True, with_input=True)
    assert answer.label == "UNCERTAIN"
    assert answer.provenance["complete"]
    with Image.open(io.BytesIO(answer.heat_map)) as heat_map:
        assert heat_map.size == (32, 32)
    with Image.open(io.BytesIO(answer.network_input)) as received:
        assert np.array_equal(received, GREY)


def test_a_batch_of_files_or_of_an_archive(client: Both, paths: list[Path], tmp_path: Path) -> None:
    archive = tmp_path / "pictures.zip"
    archive.write_bytes(zipped({path.name: path.read_bytes() for path in paths}))
    expected = [{"image_id": name, "prediction": 0.2} for name in ("2.png", "10.png")]
    for source in (paths, map(str, paths), archive, str(archive)):
        source = list(source) if isinstance(source, map) else source
        assert client.batch(source, "demo") == expected
    assert client.batch(paths, "demo", positive="FAKE")[0]["prediction"] == 0.8


def test_a_job(client: Both, paths: list[Path]) -> None:
    seen: list[Job] = []
    job = client.wait(client.submit(paths, "demo"), 60, seen.append)
    assert (job.state, job.done, job.total, job.ended) == ("done", 2, 2, True)
    assert seen[-1] == job == client.job(job.id)
    assert client.result(job) == client.batch(paths, "demo")
    assert client.result(job, "FAKE") == client.batch(paths, "demo", positive="FAKE")
    client.delete(job)
    with pytest.raises(ProblemError) as raised:
        client.job(job.id)
    assert raised.value.status == 404


def test_a_problem_is_raised_with_its_members(client: Both, paths: list[Path]) -> None:
    with pytest.raises(ProblemError, match="^415: ") as raised:
        client.predict(b"text")
    assert (raised.value.status, raised.value.type) == (415, "urn:cifake:problem:unsupported-format")
    assert raised.value.request_id
    paths[0].write_bytes(b"text")
    with pytest.raises(ProblemError) as raised:
        client.batch(paths[:1], "demo")
    assert raised.value.members["unreadable"][0]["image_id"] == "10.png"


ANSWER = {
    "label": "REAL",
    "confidence": 0.9,
    "prediction": 0.9,
    "scores": {"REAL": 0.9, "FAKE": 0.1},
    "in_domain": None,
    "out_of_domain_reason": None,
    "width": 1,
    "height": 1,
    "resized": True,
    "model": "",
    "request_id": "",
    "member of a later version": 1,
}


class Scripted(httpx.BaseTransport):
    """Gives these answers, one after the other, and keeps the requests; the last one for ever."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[httpx.Request, bytes]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request, request.read()))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def busy(status: int = 429, retry_after: str | None = "2") -> httpx.Response:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(status, headers=headers, json={"detail": "busy"})


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []

    async def sleep(some: float) -> None:
        seconds.append(some)

    monkeypatch.setattr("api.client.cifake_client.time.sleep", seconds.append)
    monkeypatch.setattr("api.client.cifake_client.asyncio.sleep", sleep)
    return seconds


OK = httpx.Response(200, json=ANSWER)


def test_busy_and_unready_services_are_asked_again(asynchronous: bool, slept: list[float]) -> None:
    transport = Scripted(busy(), busy(503, "1"), busy(503, None), OK)
    answer = Both(asynchronous, transport, key="secret").predict(b"x")
    assert answer.label == "REAL"
    assert slept == [2, 1, 1]
    assert {body for _, body in transport.requests} == {b"x"}
    assert {request.headers["Authorization"] for request, _ in transport.requests} == {"Bearer secret"}
    assert str(transport.requests[0][0].url) == f"{URL}/predict"


def test_tries_are_limited_in_number_and_time(asynchronous: bool, slept: list[float]) -> None:
    for answer, retries, expected in (
        (busy(), Retries(3, 60), [2, 2, 2]),
        (busy(), Retries(0, 60), []),
        (busy(), Retries(9, 5), [2, 2]),
        (busy(429, "9" * 400), Retries(9, 60), []),
        (busy(429, "31536000"), Retries(9, 60), []),
        (httpx.Response(500), Retries(9, 60), []),
    ):
        slept.clear()
        transport = Scripted(answer)
        with pytest.raises(ProblemError):
            Both(asynchronous, transport, retries=retries).predict(b"x")
        assert slept == expected
        assert len(transport.requests) == len(expected) + 1


@pytest.mark.parametrize("text", ["soon", "-3", "1.5", "", "nan", "²", "Mon, 99 Foo 2026"])
def test_a_malformed_retry_after_is_one_second(text: str, slept: list[float]) -> None:
    answer = httpx.Response(429, headers=[(b"Retry-After", text.encode())])
    Both(False, Scripted(answer, OK)).predict(b"x")
    assert slept == [1]


def test_retry_after_may_be_a_time(slept: list[float]) -> None:
    for seconds in (30, -30):
        when = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        Both(False, Scripted(busy(503, when), OK)).predict(b"x")
        assert max(0, seconds) - 2 <= slept.pop() <= max(0, seconds)


def test_an_upload_is_sent_whole_again_with_the_same_key(
    asynchronous: bool, paths: list[Path], tmp_path: Path, slept: list[float]
) -> None:
    archive = tmp_path / "pictures.zip"
    archive.write_bytes(random.Random(0).randbytes(100_000))
    job = httpx.Response(202, json=vars(Job("x", "demo", "queued", None, 0, 0, None)))
    for source in (paths, archive):
        transport = Scripted(busy(), job)
        Both(asynchronous, transport).submit(source, "demo")
        (first, sent), (again, sent_again) = transport.requests
        assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
        assert {len(sent), len(sent_again)} == {int(first.headers["Content-Length"])}
        for path in [source] if source is archive else source:
            assert path.read_bytes() in sent
            assert path.read_bytes() in sent_again


def test_waiting_ends(asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Job("x", "demo", "running", 5, 1, 0, None)
    transport = Scripted(httpx.Response(200, json=vars(running)))
    monkeypatch.setattr("api.client.cifake_client.FIRST_POLL_SECONDS", 0.001)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="job x is running"):
        Both(asynchronous, transport).wait(running, 0.2, False)
    assert time.monotonic() - start < 5
    assert len(transport.requests) > 2


def test_the_bar_shows_a_job(capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("tqdm")
    done = Job("x", "demo", "done", 5, 5, 0, None)
    transport = Scripted(httpx.Response(200, json=vars(done)))
    Both(False, transport).wait(Job("x", "demo", "running", 5, 1, 0, None), 60)
    assert "5/5" in capsys.readouterr().err


def test_an_answer_of_a_proxy_is_a_problem_too() -> None:
    for response in (httpx.Response(502, text="<html>Bad Gateway"), httpx.Response(502, json=["x"])):
        with pytest.raises(ProblemError) as raised:
            Both(False, Scripted(response)).predict(b"x")
        assert (raised.value.status, raised.value.type) == (502, "about:blank")
        assert raised.value.detail in ("<html>Bad Gateway", json.dumps(["x"], separators=(",", ":")))
