import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from gunicorn.config import Config
from werkzeug.test import EnvironBuilder

from api.monitoring.logs import Logger
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Request-ID": "mine"}
FORMAT = '%(h)s "%(r)s" %(s)s %(b)s bytes %(M)s ms id %({x-request-id}o)s'


class Log:
    """gunicorn's logger with files for streams. access: what gunicorn calls after each response."""

    def __init__(self, folder: Path) -> None:
        self.files = {"accesslog": folder / "access", "errorlog": folder / "error"}
        configuration = Config()
        for name, path in self.files.items():
            configuration.set(name, str(path))
        configuration.set("access_log_format", FORMAT)
        self.logger = Logger(configuration)

    def access(self, app: Flask, path: str, **request: object) -> None:
        environ = EnvironBuilder(path, headers=HEADERS, **request).get_environ()
        environ |= {"RAW_URI": path, "REMOTE_ADDR": "127.0.0.1"}
        started: list[tuple[str, list]] = []
        body = b"".join(app(environ, lambda status, headers, _=None: started.append((status, headers))))
        [(status, headers)] = started
        sent = SimpleNamespace(status=status, sent=len(body), headers=headers)
        self.logger.access(sent, SimpleNamespace(headers=[]), environ, timedelta(milliseconds=3))

    def lines(self, name: str) -> list[str]:
        return self.files[name].read_text().splitlines()


@pytest.fixture
def log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    monkeypatch.setenv("CIFAKE_LOG_FORMAT", request.param)
    loggers = [logging.getLogger(name) for name in ("", "gunicorn.error", "gunicorn.access")]
    before = [list(logger.handlers) for logger in loggers]
    yield Log(tmp_path)
    logging.captureWarnings(False)
    for logger, handlers in zip(loggers, before, strict=True):
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
            logger.removeHandler(handler)


as_json = pytest.mark.parametrize("log", ["json"], indirect=True)
as_text = pytest.mark.parametrize("log", ["text"], indirect=True)
SECRET = "sesame"


@as_json
def test_a_request_is_an_object(log: Log, app: Flask) -> None:
    picture = encode(noise(1))
    path = f"/predict?abstain=0.5&token={SECRET}"
    log.access(app, "/predict", method="POST", data=picture, content_type="image/png")
    log.access(app, path, method="POST", data=picture, content_type="image/png")
    answered, refused = map(json.loads, log.lines("accesslog"))
    told = {
        "route": "/predict",
        "method": "POST",
        "client": "127.0.0.1",
        "request_id": "mine",
        "trace_id": TRACE,
    }
    for line, status, problem in ((answered, 200, None), (refused, 400, "bad-request")):
        assert {name: line[name] for name in told} == told
        assert (line["status"], line["problem"], line["level"]) == (status, problem, "INFO")
        assert line["bytes"] > 0
        assert 0 < line["seconds"] < 60
        age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
        assert abs(age) < timedelta(minutes=1)
    assert list(answered["stages"]) == ["parse", "decode", "queue", "infer"]
    assert sum(answered["stages"].values()) <= answered["seconds"]


@pytest.mark.parametrize("log", ["json", "text"], indirect=True)
def test_no_query_and_no_name_of_a_file_is_logged(log: Log, app: Flask, tmp_path: Path) -> None:
    file = tmp_path / f"{SECRET}.png"
    file.write_bytes(encode(noise(1)))
    for path in (f"/predict?token={SECRET}", "/predict", f"/batch?team={SECRET}"):
        with file.open("rb") as stream:
            log.access(app, path, method="POST", data={"file": stream})
    assert len(log.lines("accesslog")) == 3
    assert SECRET not in "".join(log.lines("accesslog") + log.lines("errorlog"))


@as_text
def test_a_request_is_a_line_of_text(log: Log, app: Flask) -> None:
    log.access(app, "/livez?x=y")
    assert log.lines("accesslog") == ['127.0.0.1 "GET /livez HTTP/1.1" 200 19 bytes 3 ms id mine']


class Failing(MeanPredictor):
    def decide(self, *arguments: object) -> object:  # type: ignore[override]
        raise RuntimeError("lost\nin two lines")


@as_json
def test_an_error_is_one_object_with_its_stack(log: Log) -> None:
    app = served(Failing())
    log.access(app, "/predict", method="POST", data=encode(noise(1)), content_type="image/png")
    [line] = map(json.loads, log.lines("errorlog"))
    assert (line["level"], line["logger"], line["request_id"]) == ("ERROR", "api.errors", "mine")
    assert line["trace_id"] == TRACE
    assert line["exc_info"].startswith("Traceback")
    assert line["exc_info"].endswith("RuntimeError: lost\nin two lines")
    assert json.loads(log.lines("accesslog")[0])["problem"] == "internal-error"


@pytest.mark.parametrize("log", ["json", "text"], indirect=True)
def test_the_lines_of_gunicorn_and_of_the_application_are_alike(log: Log) -> None:
    log.logger.warning("one")
    logging.getLogger("api.anything").warning("two")
    one, two = log.lines("errorlog")
    if one.startswith("{"):
        assert json.loads(one).keys() == json.loads(two).keys()
        assert json.loads(two)["message"] == "two"
    else:
        assert two.endswith("[WARNING] two")
        assert len(one) == len(two)
