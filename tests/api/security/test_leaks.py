"""No answer tells where the server's files are, how its code failed, or what its environment holds."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import ROOT
from tests.api.security.conftest import Keys
from tests.conftest import served
from tests.pictures import encode, noise

PICTURE = encode(noise(1))


def output_folder_is_a_file(folder: Path) -> None:
    (folder / "outputs").touch()


def jobs_are_damaged(folder: Path) -> None:
    (folder / "outputs" / "jobs").mkdir(parents=True)
    (folder / "outputs" / "jobs" / "jobs.sqlite3").write_bytes(b"noise" * 1000)


def nothing_is_wrong(folder: Path) -> None:
    """Leave it as it is."""


@pytest.fixture(params=[nothing_is_wrong, output_folder_is_a_file, jobs_are_damaged], scope="module")
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Flask:
    folder = tmp_path_factory.mktemp("leaks")
    damage: Callable[[Path], None] = request.param
    damage(folder)
    return served(
        output_dir=str(folder / "outputs"),
        model=str(folder / "no-such.pth"),
        keys_file=str(keys.path),
        max_image_bytes=100_000,
    )


BODIES = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda end, tail: PICTURE[:end] + tail, st.integers(0, len(PICTURE)), st.binary(max_size=20)),
    st.sampled_from([b"{", b'{"file": "AAAA"}', b'{"inputs": [{}]}', b"[" * 5000, b"PK\3\4", b"--x\r\n"]),
)
TYPES = st.sampled_from(
    ["image/png", "application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/\0", ""]
)
QUERIES = st.sampled_from(
    ["", "?team=a", "?team=../../etc", "?explain=gradcam", "?abstain=x", "?limit=0", "?%00", "?format=csv"]
)
IDS = st.sampled_from(["1", "..", "../../etc/passwd", "%00", "%2e%2e%2f", "%ff", "a" * 300, "{0.__class__}"])


@settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_hostile_requests(app: Flask, keys: Keys, data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from([*app.url_map.iter_rules()]))
    method = data.draw(st.sampled_from(["GET", "POST", "DELETE", "PATCH", "OPTIONS"]))
    path = "/".join(data.draw(IDS) if part.startswith("<") else part for part in rule.rule.split("/"))
    headers = {"X-API-Key": keys.admin, "Prefer": data.draw(st.sampled_from(["", "respond-async"]))}
    if data.draw(st.booleans()):
        field = data.draw(st.sampled_from(["file", "files", "archive"]))
        upload = {"data": {field: (io.BytesIO(data.draw(BODIES)), data.draw(IDS))}}
    else:
        upload = {"data": data.draw(BODIES), "content_type": data.draw(TYPES)}
    response = app.test_client().open(path + data.draw(QUERIES), method=method, headers=headers, **upload)
    answer = f"{response.headers}{response.get_data().decode('latin-1')}"
    folder = Path(app.extensions["cifake"].settings.model).parent
    for secret in (str(ROOT), sys.prefix, str(folder), str(keys.path)):
        assert secret not in answer
    for secret in ("Traceback", 'File "', os.environ["PATH"], keys.admin):
        assert secret not in answer
