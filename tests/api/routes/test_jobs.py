import csv
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.jobs.queue import EXTENSION
from tests.conftest import served
from tests.pictures import encode, zipped


def grey(value: int) -> bytes:
    return encode(np.full((32, 32, 3), value, np.uint8))


FILES = {f"{i}.png": grey(i) for i in (10, 2, 1)} | {"notes.txt": b"text"}
ASYNC = {"Prefer": "respond-async"}
MISSING = "x" * 32


@pytest.fixture
def app(outputs: Path) -> Iterator[Flask]:
    app = served(output_dir=str(outputs), max_jobs=3, max_jobs_bytes=100_000)
    yield app
    app.extensions["cifake"].stop()


@pytest.fixture
def idle(app: Flask, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A client of a service whose jobs stay queued."""
    monkeypatch.setattr(app.extensions[EXTENSION].runner, "start", lambda: None)
    return app.test_client()


def post(
    client: FlaskClient, files: dict[str, bytes] = FILES, query: str = "", **headers: str
) -> TestResponse:
    data = {"archive": (io.BytesIO(zipped(files)), "x.zip")}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/batch?team=x{query}", data=data, headers=ASYNC | names)


def finished(client: FlaskClient, response: TestResponse) -> str:
    """The path of the job that a 202 is about, when it has ended."""
    assert response.status_code == 202, response.text
    path = response.headers["Location"]
    deadline = time.monotonic() + 30
    while client.get(path).json["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path


def test_a_job_gives_what_a_batch_gives(client: FlaskClient, outputs: Path) -> None:
    accepted = post(client)
    assert accepted.headers["Preference-Applied"] == "respond-async"
    assert accepted.headers["Location"] == f"/batch/{accepted.json['id']}"
    assert accepted.json["state"] == "queued"
    path = finished(client, accepted)
    job = client.get(path).json
    assert (job["team"], job["state"], job["total"], job["done"], job["unreadable"]) == ("x", "done", 4, 4, 1)
    assert job["created"] <= job["started"] <= job["finished"]
    assert job["links"] == {"self": path, "result": f"{path}/result", "unreadable": f"{path}/unreadable"}
    result = client.get(f"{path}/result")
    written = [(outputs / f"x_{name}.json").read_bytes() for name in ("prediction", "unreadable")]
    data = {"archive": (io.BytesIO(zipped(FILES)), "x.zip")}
    batch = client.post("/batch?team=y", data=data)
    assert result.data == batch.data == written[0] == (outputs / "y_prediction.json").read_bytes()
    assert client.get(f"{path}/unreadable").data == written[1] == (outputs / "y_unreadable.json").read_bytes()
    for name, value in batch.headers:
        assert name == "X-Request-ID" or result.headers[name] == value


@pytest.mark.parametrize("by_header", [True, False])
def test_details(by_header: bool, client: FlaskClient, outputs: Path) -> None:
    query, headers = ("", {"Accept": "application/vnd.cifake+json"}) if by_header else ("detail=1", {})
    path = finished(client, post(client, query="&positive=FAKE"))
    data = {"archive": (io.BytesIO(zipped(FILES)), "x.zip")}
    batch = client.post(f"/batch?team=y&positive=FAKE&{query}", data=data, headers=headers)
    answers = [batch.json, client.get(f"{path}/result?{query}", headers=headers).json]
    for answer in answers:
        assert answer["predictions"] == json.loads((outputs / "x_prediction.json").read_bytes())
        assert [row["image_id"] for row in answer["unreadable"]] == ["notes.txt"]
        assert answer["out_of_domain"] == [
            {"image_id": name, "reason": "content"} for name in ("1.png", "2.png", "10.png")
        ]
        assert answer["summary"].pop("seconds") >= 0
    assert answers[0]["summary"] == answers[1]["summary"] == {
        "files": 4,
        "pictures": 3,
        "unreadable": 1,
        "real": 0,
        "fake": 3,
        "out_of_domain": {"size": 0, "content": 3},
        "positive": "FAKE",
        "label_1_in_training_data": "REAL",
        "label_1_assumed": True,
        "model": "",
    }  # fmt: skip
    assert batch.headers["X-Unreadable-Count"] == "1"
    assert (outputs / "y_prediction.json").read_bytes() == (outputs / "x_prediction.json").read_bytes()
    plain = client.get(f"{path}/result", headers={"Accept": "*/*"})
    assert plain.mimetype == "application/json"
    assert isinstance(plain.json, list)


MIXED = {
    "10.png": encode(np.full((32, 48, 3), 100, np.uint8)),  # of another size
    "2.png": grey(3),  # dark: the stand-in finds it unlike its training data
    "1.png": grey(100),
    "a/é.png": grey(4),
    "b/3.png": b"text",
}


@pytest.mark.parametrize("names", ["basename", "path"])
def test_pictures_out_of_the_domain_are_listed(names: str, client: FlaskClient) -> None:
    path = finished(client, post(client, MIXED, f"&names={names}"))
    data = {"archive": (io.BytesIO(zipped(MIXED)), "x.zip")}
    batch = client.post(f"/batch?team=y&detail=1&names={names}", data=data).json
    job = client.get(f"{path}/result?detail=1").json
    assert list(batch) == list(job) == ["predictions", "unreadable", "out_of_domain", "summary"]
    for answer in (batch, job):
        assert [(row["image_id"], row["reason"]) for row in answer["out_of_domain"]] == [
            ("2.png", "content"),
            ("10.png", "size"),
            ("a/é.png" if names == "path" else "é.png", "content"),
        ]
        assert answer["summary"]["out_of_domain"] == {"size": 1, "content": 2}
        predicted = [row["image_id"] for row in answer["predictions"]]
        listed = [row["image_id"] for row in answer["out_of_domain"]]
        assert listed == [name for name in predicted if name in listed]


def test_results_of_earlier_versions_are_answered(client: FlaskClient, outputs: Path) -> None:
    """They have no file of the pictures out of the domain."""
    path = finished(client, post(client, MIXED))
    folder = outputs / "jobs" / path.rpartition("/")[2]
    (folder / "out_of_domain.json").unlink()
    answer = client.get(f"{path}/result?detail=1")
    assert (answer.status_code, answer.json["out_of_domain"]) == (200, None)
    assert answer.json["summary"]["out_of_domain"] == {"size": 1, "content": 2}
    assert client.get(f"{path}/result").status_code == 200
    (folder / "predictions.json").unlink()
    gone = client.get(f"{path}/result?detail=1")
    assert (gone.status_code, gone.json["type"]) == (404, "urn:cifake:problem:not-found")


@pytest.mark.parametrize("asked", ["REAL", "FAKE"])
def test_a_result_of_either_label_is_that_of_a_job_for_it(asked: str, client: FlaskClient) -> None:
    """Byte for byte, whatever the job was asked for."""
    other = {"REAL": "FAKE", "FAKE": "REAL"}[asked]
    files = FILES | {f"x{value}.png": grey(value) for value in (0, 51, 97, 128, 255)} | {"é.png": grey(9)}
    submitted = {
        label: finished(client, post(client, files, f"&positive={label}")) for label in (asked, other)
    }
    for query in ("format=json", "format=csv", "detail=1"):
        expected = client.get(f"{submitted[asked]}/result?{query}")
        for label in (asked, other):
            response = client.get(f"{submitted[label]}/result?{query}&positive={asked}")
            assert response.status_code == 200
            assert without_seconds(response) == without_seconds(expected)
            assert response.headers["X-Prediction"] == f"P({asked})"
            own = {name: value for name, value in response.headers if name != "X-Request-ID"}
            assert own.keys() | {"X-Request-ID"} == {name for name, _ in expected.headers}
            for name in own.keys() - {"Content-Length"}:
                assert own[name] == expected.headers[name], name


def without_seconds(response: TestResponse) -> bytes:
    """The body without how long the job took."""
    return re.sub(rb'"seconds": [^}]+', b"", response.data)


def test_csv(client: FlaskClient) -> None:
    files = {'a "b", c.png': grey(51), "é.png": grey(255)}
    path = finished(client, post(client, files))
    response = client.get(f"{path}/result?format=csv")
    assert response.mimetype == "text/csv"
    assert list(csv.reader(io.StringIO(response.text))) == [
        ["image_id", "prediction"],
        ['a "b", c.png', "0.2"],
        ["é.png", "1.0"],
    ]


def test_a_failed_job_says_what_a_batch_would_have_answered(client: FlaskClient) -> None:
    files = {"a/1.png": grey(1), "b/1.png": grey(2)}
    path = finished(client, post(client, files))
    data = {"archive": (io.BytesIO(zipped(files)), "x.zip")}
    problem = client.post("/batch?team=x", data=data).json
    del problem["request_id"]
    assert client.get(path).json["reason"] == problem
    assert client.get(f"{path}/result").status_code == 409
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        ("respond-async", 202),
        ("Respond-Async; foo", 202),
        ("wait=10, respond-async", 202),
        ("wait=10", 200),
        ("", 200),
        ("respond-asynchronously", 200),
    ],
)
def test_preferences(prefer: str, status: int, client: FlaskClient) -> None:
    assert post(client, Prefer=prefer).status_code == status


def test_what_is_wrong_with_the_request_is_answered_at_once(idle: FlaskClient, outputs: Path) -> None:
    assert post(idle, query="&positive=X").status_code == 400
    assert post(idle, query="&names=x").status_code == 400
    assert post(idle, query="&detail=2").status_code == 400
    assert idle.post("/batch?team=x", headers=ASYNC).status_code == 400
    two = {"archive": [(io.BytesIO(b"x"), "x.zip"), (io.BytesIO(b"x"), "y.zip")]}
    assert idle.post("/batch?team=x", data=two, headers=ASYNC).status_code == 400
    assert not outputs.exists()


@pytest.mark.parametrize("key", ["8e03978e-40d5", '"8e03978e-40d5"'])
def test_an_idempotency_key_gives_the_same_job(key: str, idle: FlaskClient, outputs: Path) -> None:
    first = post(idle, Idempotency_Key=key)
    again = post(idle, {"1.png": grey(1)}, Idempotency_Key='"8e03978e-40d5"')
    assert again.status_code == first.status_code == 202
    assert again.headers["Location"] == first.headers["Location"]
    assert len(list((outputs / "jobs").glob("*/upload"))) == 1
    other = post(idle, query="&positive=FAKE", Idempotency_Key=key)
    assert other.status_code == 422
    assert other.json["type"] == "urn:cifake:problem:idempotency-key-reused"
    assert post(idle, Idempotency_Key="another").headers["Location"] != first.headers["Location"]


@pytest.mark.parametrize("key", ["", '""', '"a', "a b", "x" * 256, "é"])
def test_invalid_idempotency_keys(key: str, idle: FlaskClient, outputs: Path) -> None:
    response = post(idle, Idempotency_Key=key)
    assert response.status_code == 400
    assert "Idempotency-Key" in response.json["detail"]
    assert not outputs.exists()


@pytest.mark.parametrize(
    ("call", "path"),
    [("get", ""), ("get", "/result"), ("get", "/unreadable"), ("delete", "")],
)
def test_unknown_jobs(call: str, path: str, idle: FlaskClient) -> None:
    for _ in range(2):  # without and with a record of jobs
        response = getattr(idle, call)(f"/batch/{MISSING}{path}")
        assert response.status_code == 404
        assert response.json["type"] == "urn:cifake:problem:not-found"
        post(idle)


def test_a_job_that_waits(idle: FlaskClient, outputs: Path) -> None:
    path = post(idle).headers["Location"]
    for part in ("result", "unreadable"):
        response = idle.get(f"{path}/{part}")
        assert response.status_code == 409
        assert "the job is queued" in response.json["detail"]
    cancelled = idle.delete(path)
    assert (cancelled.status_code, cancelled.json["state"]) == (200, "cancelled")
    assert not list((outputs / "jobs").glob("*/upload"))
    assert "the job is cancelled and has no result" in idle.get(f"{path}/result").json["detail"]
    assert idle.delete(path).status_code == 204
    assert idle.get(path).status_code == 404


def test_jobs_are_listed_in_pages(idle: FlaskClient) -> None:
    assert idle.get("/batch").json == {"jobs": [], "links": {"self": "/batch?limit=100"}}
    ids = [post(idle).json["id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[A-Za-z0-9_-]{32}", job_id) for job_id in ids)
    found, path = [], "/batch?limit=2"
    while path:
        page = idle.get(path).json
        found += [job["id"] for job in page["jobs"]]
        path = page["links"].get("next")
    assert found == ids[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=-1", "after=" + "9" * 30])
def test_invalid_pages(query: str, idle: FlaskClient) -> None:
    assert idle.get(f"/batch?{query}").status_code == 400


@pytest.mark.parametrize(
    "query", ["format=xml", "format=csv&detail=1", "detail=yes", "formt=csv", "positive=real", "positive="]
)
def test_invalid_kinds_of_results(query: str, idle: FlaskClient) -> None:
    path = post(idle).headers["Location"]
    assert idle.get(f"{path}/result?{query}").status_code == 400


def test_limits(idle: FlaskClient, outputs: Path) -> None:
    large = post(idle, {"1.png": np.random.default_rng(0).bytes(100_000)})
    assert large.status_code == 507
    assert "delete jobs that are done" in large.json["detail"]
    for _ in range(3):
        assert post(idle).status_code == 202
    many = post(idle)
    assert (many.status_code, many.headers["Retry-After"]) == (429, "60")
    assert len(list((outputs / "jobs").glob("*/upload"))) == 3


def test_a_damaged_record_leaves_the_rest_of_the_service(idle: FlaskClient, outputs: Path) -> None:
    path = post(idle).headers["Location"]
    for suffix in ("", "-wal", "-shm"):
        (outputs / "jobs" / f"jobs.sqlite3{suffix}").write_bytes(b"damage" * 1000)
    for response in (idle.get(path), idle.get("/batch"), idle.delete(path), post(idle)):
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "10"
        assert "the record of jobs is damaged" in response.json["detail"]
    assert idle.post("/predict", data=grey(1)).status_code == 200
    data = {"archive": (io.BytesIO(zipped(FILES)), "x.zip")}
    assert idle.post("/batch?team=x", data=data).status_code == 200
