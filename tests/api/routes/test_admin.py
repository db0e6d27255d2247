import hashlib
import json
import time
from pathlib import Path
from shutil import copyfile

import pytest
from flask.testing import FlaskClient

from api.security.key_file import Key, write_keys
from model import SHIPPED
from tests.conftest import served
from tests.gunicorn_server import GunicornServer, gunicorn_server

ALICE, USER = Key.new("alice", "user")
ROOT, ADMIN = Key.new("root", "admin")
RELOAD_SECONDS = 10


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    write_keys(tmp_path / "keys.json", [ALICE, ROOT])
    return tmp_path / "keys.json"


def reload(client: FlaskClient, key: str | None, query: str = "") -> tuple[int, dict]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    response = client.post(f"/admin/reload{query}", headers=headers)
    return response.status_code, response.json


def test_without_keys_nobody_may_and_is_told_how(client: FlaskClient) -> None:
    for key in (None, ADMIN):
        status, problem = reload(client, key)
        assert (status, problem["type"]) == (403, "urn:cifake:problem:forbidden")
        assert "`python -m api.keys new NAME --admin --file FILE`" in problem["detail"]
        assert "CIFAKE_KEYS_FILE=FILE" in problem["detail"]


def test_only_an_administrator_may(keys_file: Path) -> None:
    client = served(keys_file=str(keys_file)).test_client()
    assert reload(client, None)[0] == 401
    assert reload(client, "wrong")[0] == 401
    status, problem = reload(client, USER)
    assert (status, problem["detail"]) == (403, "the key alice is not an administrator's")
    assert reload(client, ADMIN, "?force=1")[0] == 400
    assert client.get("/admin/reload", headers={"X-API-Key": ADMIN}).status_code == 405


def test_a_refusal_has_the_name_of_the_file_but_no_folder(keys_file: Path, tmp_path: Path) -> None:
    (tmp_path / "served.pth").write_bytes(b"noise")
    client = served(keys_file=str(keys_file), model=str(tmp_path / "served.pth")).test_client()
    status, problem = reload(client, ADMIN)
    assert (status, problem["type"]) == (422, "urn:cifake:problem:refused-checkpoint")
    assert problem["detail"].startswith("nothing is changed: served.pth is not a checkpoint")
    assert str(tmp_path) not in json.dumps(problem)
    service = client.application.extensions["cifake"]
    with service.reload_lock:
        status, problem = reload(client, ADMIN)
    assert (status, problem["type"]) == (409, "urn:cifake:problem:reloading")


def ask(server: GunicornServer, method: str, path: str, key: str) -> tuple[int, dict]:
    connection = server.connect()
    try:
        connection.request(method, path, headers={"X-API-Key": key})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_all_workers_serve_the_new_checkpoint(
    keys_file: Path, tmp_path: Path, other_checkpoint: Path
) -> None:
    model = Path(copyfile(SHIPPED, tmp_path / "served.pth"))
    settings = {"MODEL": str(model), "KEYS_FILE": str(keys_file), "WORKERS": "2"}
    with gunicorn_server(tmp_path, **settings) as server:
        assert [ask(server, "POST", "/admin/reload", key)[0] for key in ("wrong", USER)] == [401, 403]
        before = ask(server, "GET", "/model", USER)[1]["digest"]
        other_checkpoint.replace(model)
        status, answer = ask(server, "POST", "/admin/reload", ADMIN)
        after = hashlib.sha256(model.read_bytes()).hexdigest()
        assert (status, answer) == (200, {"before": before, "after": after})
        deadline = time.monotonic() + RELOAD_SECONDS
        served_since = None
        while served_since is None or time.monotonic() < served_since + 1:  # by all that answer for a second
            digests = {ask(server, "GET", "/model", USER)[1]["digest"] for _ in range(8)}
            assert digests <= {before, after}
            served_since = (served_since or time.monotonic()) if digests == {after} else None
            assert time.monotonic() < deadline
