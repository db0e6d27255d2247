import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from werkzeug.formparser import FormDataParser
from werkzeug.test import TestResponse

from api.forms import FORM, FormParser
from tests.conftest import served
from tests.pictures import encode

PNG = encode(np.full((32, 32, 3), 51, np.uint8))
URLENCODED = "application/x-www-form-urlencoded"
BOUNDED = f"{FORM}; boundary=BOUND"
END = b"--BOUND--\r\n"
ROUTES = {"/predict": b"file", "/batch?team=x": b"files"}  # and the field of a picture
UNTOLD = re.compile(r"\b0 files|\bnone\b(?! of the)")  # "none of the 3 files could be read" says enough


def part(disposition: bytes, data: bytes = PNG) -> bytes:
    return b"--BOUND\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (disposition, data)


def file(name: bytes = b"x.png", data: bytes = PNG, field: bytes = b"FIELD") -> bytes:
    return part(b'name="%s"; filename="%s"' % (field, name), data)


def post(client: FlaskClient, path: str, body: bytes, content_type: str = BOUNDED) -> TestResponse:
    body = body.replace(b"FIELD", ROUTES[path])
    headers = {"Content-Type": content_type, "Content-Length": len(body)}
    return client.post(path, input_stream=io.BytesIO(body), headers=headers)


@pytest.fixture(scope="module")
def small_client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """Of a service that is shared by the examples of a property."""
    folder = tmp_path_factory.mktemp("outputs")
    return served(output_dir=str(folder), max_image_bytes=20_000, max_batch_bytes=100_000).test_client()


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="café.png"'.encode(), "café.png"),
        ('filename="café.png"'.encode("latin-1"), "café.png"),
        ('filename="\u8868.png"'.encode("gbk"), "\xb1\xed.png"),
        ('filename="\u8868.png"'.encode("shift-jis"), "\x95\uff3c.png"),  # its second byte is a backslash
        (b'filename="\xed\xa0\x80.png"', "\xed\xa0\x80.png"),  # a surrogate is not UTF-8
        (b"filename*=UTF-8''caf%C3%A9.png", "café.png"),  # RFC 5987
        (b"filename=\"caf?.png\"; filename*=utf-8''caf%C3%A9.png", "café.png"),
        (b"filename*=iso-8859-1''caf%E9.png", "café.png"),
        (b'filename*0="caf"; filename*1="e.png"', "cafe.png"),  # RFC 2231
        (b"filename=plain.png", "plain.png"),
        (b'filename="two words;x.png"', "two words;x.png"),
        (b'filename="a%22b.png"', 'a"b.png'),  # a quote as browsers write it
        (rb'filename="a\"b.png"', 'a"b.png'),  # and as in RFC 9110
        (rb'filename="C:\fakepath\x.png"', "x.png"),
        (rb'filename="C:\\fakepath\\x.png"', "x.png"),
        (rb'filename="\\server\share\x.png"', "x.png"),
        (b'filename="a/b.png"', "b.png"),
        ('filename="a\\café.png"'.encode("latin-1"), "café.png"),
        ('filename="é.png"\r\nX-Name: '.encode() + b"\xe9", "é.png"),
    ],
)
def test_file_names(disposition: bytes, name: str, client: FlaskClient) -> None:
    body = part(b'name="FIELD"; ' + disposition) + END
    response = post(client, "/batch?team=x", body)
    assert response.status_code == 200
    assert [row["image_id"] for row in response.json] == [name]
    assert post(client, "/predict", body).json["prediction"] == 0.2


def test_a_name_that_ends_with_a_backslash_is_a_file_name(client: FlaskClient) -> None:
    assert post(client, "/predict", file(b"folder\\") + END).status_code == 200


MALFORMED = {
    "no boundary": (file() + END, FORM, 400, "lacks the form's boundary"),
    "an empty boundary": (file() + END, f"{FORM}; boundary=", 400, "lacks the form's boundary"),
    "a boundary that is not ASCII": (END, f'{FORM}; boundary="\xe9"', 400, "must be ASCII"),
    "another boundary": (file() + END, f"{FORM}; boundary=X", 400, "no line `--X`"),
    "a picture": (PNG, BOUNDED, 400, "no line `--BOUND`"),
    "a large picture": (PNG + bytes(600_000), BOUNDED, 400, "no line `--BOUND`"),
    "JSON": (b'{"file": ""}', BOUNDED, 400, "no line `--BOUND`"),
    "no bytes": (b"", BOUNDED, 400, "the body is empty"),
    "no parts": (END, BOUNDED, 400, "the form is empty"),
    "no final delimiter": (file(), BOUNDED, 400, "breaks off in part 1"),
    "no final dashes": (file() + b"--BOUND\r\n", BOUNDED, 400, "breaks off before the data of part 2"),
    "a final delimiter not on its own line": (
        file()[:-2] + END,
        BOUNDED,
        400,
        "`--BOUND--`, on its own line",
    ),
    "half a header": (file()[:40], BOUNDED, 400, "breaks off before the data of part 1"),
    "two forms": (file() + END + file() + END, BOUNDED, 400, "goes on after its final delimiter"),
    "no name": (file() + part(b'filename="y.png"') + END, BOUNDED, 400, "part 2 of the form has no name"),
    "an empty name": (file(field=b"") + END, BOUNDED, 400, "part 1 of the form has no name"),
    "no Content-Disposition": (
        b"--BOUND\r\nContent-Type: image/png\r\n\r\n" + PNG + b"\r\n" + END,
        BOUNDED,
        400,
        "part 1 of the form is malformed: Missing Content-Disposition",
    ),
    "many parts": (file(data=b"") * 1001 + END, BOUNDED, 413, "parts; send fewer"),
    "much text": (part(b'name="FIELD"', bytes(500_001)) + END, BOUNDED, 413, "500000 bytes of text"),
    "much text in all": (part(b'name="FIELD"', bytes(170_000)) * 3 + END, BOUNDED, 413, "bytes of text"),
    "a long header": (
        file(b"x" * 600_000) + END,
        BOUNDED,
        413,
        "headers, up to those of part 1, are too long",
    ),
    "long headers": (
        file(b"x" * 400_000) * 3 + END,
        BOUNDED,
        413,
        "headers, up to those of part 3, are too long",
    ),
    "a long end": (file() + END + bytes(600_000), BOUNDED, 413, "followed by more than 500000 bytes"),
    "a picture as text": (
        part(b'name="FIELD"') + END,
        BOUNDED,
        400,
        "is text, without a file name: send a file",
    ),
    "half a file name": (part(b'name="FIELD"; filename="x.png') + END, BOUNDED, 400, "without a file name"),
    "an unknown field": (file(field=b"picture") + END, BOUNDED, 400, "no form field `picture`: known:"),
    "a second field": (file() + file(field=b"x") + END, BOUNDED, 400, "no form field `x`: known:"),
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("body", "content_type", "status", "words"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_forms(
    path: str, body: bytes, content_type: str, status: int, words: str, tmp_path: Path
) -> None:
    app = served(output_dir=str(tmp_path / "outputs"), max_image_bytes=2 << 20, max_batch_files=998)
    check_problem(post(app.test_client(), path, body, content_type), status, words)
    assert not (tmp_path / "outputs").exists()


def check_problem(response: TestResponse, status: int, words: str) -> None:
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert words in response.json["detail"]
    assert not UNTOLD.search(response.json["detail"])


BATCH_FIELDS = {
    "file": (
        file(field=b"file"),
        "no form field `file`: did you mean `files`? known: `files`, `archive`",
    ),
    "as PHP names it": (file(field=b"files[]"), "no form field `files[]`: did you mean `files`?"),
    "archives": (file(field=b"archives"), "no form field `archives`: did you mean `archive`?"),
    "pictures": (file(field=b"pictures"), "known: `files`, `archive`, `positive`; sent: `pictures`"),
    "zip": (file(field=b"zip"), "no form field `zip`"),
    "a form with the team": (file() + part(b'name="team"', b"y"), "no form field `team`: known:"),
    "a misspelt option": (file() + part(b'name="postive"', b"FAKE"), "did you mean `positive`?"),
    "an option twice": (file() + part(b'name="positive"', b"FAKE") * 2, "`positive` is given 2 times"),
    "an option as a file": (
        file() + file(field=b"positive"),
        "the field `positive` is a file: send text",
    ),
    "an archive as text": (part(b'name="archive"', b"x.zip"), "send a file (curl -F archive=@FILE)"),
}


@pytest.mark.parametrize(("body", "words"), BATCH_FIELDS.values(), ids=BATCH_FIELDS)
def test_fields_of_a_batch(body: bytes, words: str, client: FlaskClient) -> None:
    check_problem(post(client, "/batch?team=x", body + END), 400, words)


def test_an_option_in_the_query_and_in_the_form(client: FlaskClient) -> None:
    data = {"files": (io.BytesIO(PNG), "x.png"), "positive": "FAKE"}
    response = client.post("/batch?team=x&positive=REAL", data=data)
    check_problem(response, 400, "`positive` is given 2 times; give it once")


@pytest.mark.parametrize("content_type", ["application/json", "application/zip", URLENCODED])
def test_a_batch_that_is_not_a_form(content_type: str, client: FlaskClient) -> None:
    response = client.post("/batch?team=x", data=b"PK", content_type=content_type)
    check_problem(response, 415, f"in the field `files` or `archive`, not `{content_type}`")
    response = client.post("/batch?team=x", data=b"PK")
    check_problem(response, 400, "this request has no Content-Type")


class Trickle(io.BytesIO):
    """A body of which each read returns at most `size` bytes."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self.size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.size)


def in_memory(*_: object, **__: object) -> io.BytesIO:
    return io.BytesIO()


def parsed(parser: FormDataParser, stream: io.BytesIO) -> tuple[list, list]:
    _, texts, files = parser.parse(stream, FORM, 1 << 16, {"boundary": "BOUND"})
    return (
        list(texts.items(multi=True)),
        [(field, sent.filename, sent.read()) for field, sent in files.items(multi=True)],
    )


TEXT = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\\%'), min_size=1, max_size=8)
NAME = st.none() | TEXT
CONTENT = st.binary(max_size=40)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(TEXT, NAME, CONTENT), min_size=1, max_size=3), st.integers(1, 50))
def test_a_valid_form_in_pieces_of_any_size(sent: list[tuple[str, str | None, bytes]], size: int) -> None:
    """Werkzeug's parser reads the same from the whole form."""
    body = END
    for field, name, content in reversed(sent):
        file_name = f'; filename="{name}"' if name else ""
        body = part(f'name="{field}"{file_name}'.encode(), content) + body
    expected = parsed(FormDataParser(in_memory, silent=False), io.BytesIO(body))
    assert len(expected[0]) + len(expected[1]) == len(sent)
    assert parsed(FormParser(in_memory), Trickle(body, size)) == expected


VALID = file(b"1.png") + part(b'name="positive"', b"FAKE") + file(b"caf\xe9.png") + END
DELIMITERS = [b"--BOUND", b"--", b"\r\n", b"\r\n\r\n", b";", b'"', b"\\", b"name", b"file", b"\0", b"\xff"]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(path=st.sampled_from(list(ROUTES)), data=st.data())
def test_any_change_of_a_form_is_answered(path: str, data: st.DataObject, small_client: FlaskClient) -> None:
    body = bytearray(file() + END if path == "/predict" else VALID)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 12)))
        body[start:end] = data.draw(st.sampled_from(DELIMITERS) | st.binary(max_size=8))
    del body[data.draw(st.integers(0, len(body)) | st.just(len(body))) :]
    check_answer(post(small_client, path, bytes(body)))


def check_answer(response: TestResponse) -> None:
    if response.status_code != 200:
        assert 400 <= response.status_code < 500
        assert response.mimetype == "application/problem+json"
        assert not UNTOLD.search(response.json["detail"])


@settings(derandomize=True, deadline=None)
@given(name=st.binary(max_size=20))
def test_any_bytes_as_a_file_name(name: bytes, small_client: FlaskClient) -> None:
    check_answer(post(small_client, "/predict", file(name) + END))
    response = post(small_client, "/batch?team=x", file(name) + END)
    check_answer(response)
    if response.status_code == 200:
        json.loads(response.data)[0]["image_id"].encode()  # without lone surrogates


BROKEN_NAMES = st.binary(min_size=1, max_size=8).filter(lambda name: not set(name) & set(b'/\\"%\r\n\0'))


@settings(derandomize=True, deadline=None)
@given(first=BROKEN_NAMES, second=BROKEN_NAMES)
def test_different_names_that_are_not_utf_8_stay_different(
    first: bytes, second: bytes, small_client: FlaskClient
) -> None:
    first, second = b"\xff" + first, b"\xff" + second
    assume(first != second)
    response = post(small_client, "/batch?team=x", file(first) + file(second) + END)
    assert {row["image_id"].encode("latin-1") for row in response.json} == {first, second}
