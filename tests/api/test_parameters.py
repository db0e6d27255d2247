import io

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from api.parameters import check_unique, quoted
from tests.pictures import encode, noise

PNG = encode(noise())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/predict?positive=FAKE", "/predict has no query parameter `positive`: known: `abstain`, `explain`"),
        ("/predict?postive=FAKE", "no query parameter `postive`: known:"),
        ("/predict?abstein=0.9", "no query parameter `abstein`: did you mean `abstain`? known:"),
        ("/predict?Explain=gradcam", "did you mean `explain`?"),
        ("/predict?explain=gradcam&provenence=1", "did you mean `provenance`?"),
        ("/predict?gradcam", "no query parameter `gradcam`"),
        ("/predict?%FF=1", "no query parameter `%FF`"),
        ("/predict?=1", "no query parameter ``"),
        ("/predict?abstain=0.9&abstain=0.1", "`abstain` is given 2 times; give it once"),
        ("/batch?abstain=0.9", "/batch has no query parameter `abstain`: known: `team`, `positive`, `names`"),
        ("/batch?team=x&postive=FAKE", "did you mean `positive`? known:"),
        ("/batch?TEAM=x", "no query parameter `TEAM`: did you mean `team`?"),
        ("/batch?team=x&team=y", "`team` is given 2 times"),
        ("/batch?team=x&positive=FAKE&positive=FAKE", "`positive` is given 2 times"),
        ("/batch?" + "&".join(f"p{i}" for i in range(99)), "`p8`, `p9`, ..."),
        ("/batch?" + "x" * 4000, "`" + "x" * 80 + "`"),
    ],
)
def test_query_names(url: str, words: str, client: FlaskClient) -> None:
    field = "files" if url.startswith("/batch") else "file"
    response = client.post(url, data={field: (io.BytesIO(PNG), "x.png")})
    assert (response.status_code, response.mimetype) == (400, "application/problem+json")
    assert words in response.json["detail"]
    assert len(response.json["detail"]) < 1000


@pytest.mark.parametrize(
    "url", ["/predict?", "/predict?abstain=0.1&explain=gradcam&provenance=0", "/batch?team=x&positive=FAKE"]
)
def test_known_query_names(url: str, client: FlaskClient) -> None:
    field = "files" if url.startswith("/batch") else "file"
    assert client.post(url, data={field: (io.BytesIO(PNG), "x.png")}).status_code == 200


def test_names_are_unique_in_all() -> None:
    check_unique(MultiDict([("a", "1")]), MultiDict([("b", "1")]))
    with pytest.raises(Exception, match="`a` is given 2 times"):
        check_unique(MultiDict([("a", "1")]), MultiDict([("b", "1"), ("a", "1")]))


def test_quoted_names_are_limited_in_number_and_length() -> None:
    assert quoted("a", "b") == "`a`, `b`"
    assert quoted(*"abcdefghijk") == "`a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`, `i`, `j`, ..."
    assert quoted("x" * 81) == f"`{'x' * 80}`"
