import pytest

from model.images.decode import decode
from model.images.errors import BrokenImageError, UnsupportedImageError
from model.images.signature import file_kind
from tests.pictures import encode, noise

KINDS = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "AVIF": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    "a video": b"\0\0\0\x18ftypisom\0\0\2\0",
    "audio": b"RIFF\x24\0\0\0WAVEfmt ",
    "JPEG XL": b"\xff\x0a\x7f",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "PDF": b"%PDF-1.7\n",
    "PostScript": b"%!PS-Adobe-3.0",
    "a Photoshop document": b"8BPS\0\1",
    "an icon": b"\0\0\1\0\1\0",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "HTML": b"<!doctype html><title>x</title>",
    "a ZIP archive": b"PK\3\4\x14\0",
    "a gzip archive": b"\x1f\x8b\x08\0",
    "base64 text": b"data:image/png;base64,iVBORw0KGgo=",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_unsupported_file_is_named(kind: str) -> None:
    with pytest.raises(UnsupportedImageError, match=f"^this is {kind}.*; send "):
        decode(KINDS[kind] + bytes(100))


@pytest.mark.parametrize("data", [b"", b"hello", b"RIFF\0\0\0\0XXXX", bytes(2000)])
def test_an_unknown_file_is_unsupported(data: bytes) -> None:
    assert file_kind(data) is None
    with pytest.raises(UnsupportedImageError, match="^this is not a picture in one of"):
        decode(data)


@pytest.mark.parametrize("data", [b"RIFF", b"RIFF\0\0\0\0WEBP", b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF89a"])
def test_a_header_that_is_cut_short_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenImageError):
        decode(data)


def test_supported_files_have_no_other_kind() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        assert file_kind(encode(noise(), kind)) is None
