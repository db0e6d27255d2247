import json
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.images import provenance
from model.images.provenance import read_provenance
from model.images.provenance.xmp import read_xmp
from tests.model.images.provenance.files import (
    A1111,
    FILES,
    JUMBF,
    SECRETS,
    STEPS,
    TRAINED,
    chunk,
    encoded,
    file,
    flipped,
    jpeg,
    png,
    png_texts,
    xmp,
)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_raise_nothing_and_are_quick(name: str) -> None:
    data = file(name)
    step = max(1, min(len(data), 4096) // 60)
    begun = time.process_time()
    cases = [data[:length] for length in range(0, min(len(data), 4096), step)]
    cases += [flipped(data, seed) for seed in range(100)]
    for case in cases:
        answer = json.dumps(read_provenance(case).to_json())
        assert not [secret for secret in SECRETS if secret in answer]
    assert (time.process_time() - begun) / len(cases) < 0.02


SIGNATURES = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"RIFF\0\0\0\0WEBP",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"GIF89a",
    b"\0\0\0\x1cftypavif",
]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(SIGNATURES), st.binary(max_size=400))
def test_any_bytes_have_a_provenance(signature: bytes, data: bytes) -> None:
    found = read_provenance(signature + data)
    assert found.c2pa is None or found.c2pa["present"]
    json.dumps(found.to_json())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.sampled_from(["png", "jpeg"]))
def test_any_exif_and_xmp_have_a_provenance(data: bytes, container: str) -> None:
    exif_block = b"II*\0\x08\0\0\0" + data
    if container == "png":
        read_provenance(
            png(chunk(b"eXIf", exif_block), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + data))
        )
        read_provenance(png(chunk(b"zTXt", b"parameters\0\0" + data), chunk(b"caBX", data)))
    else:
        read_provenance(jpeg((0xE1, b"Exif\0\0" + exif_block), (0xEB, b"JP" + data), (0xFE, data)))


def compress_zeros(size: int, filler: bytes = b" ") -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(filler * (1 << 20)) for _ in range(size >> 20)) + packer.flush()


def repeated_directory() -> bytes:
    """Exif whose directories follow one another in a circle, with tags of a megabyte each."""
    entries = b"".join(struct.pack("<HHLL", tag, 2, 1 << 20, 8) for tag in (0x010E, 0x010F, 0x0131) * 170)
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 510) + entries + struct.pack("<L", 8)
    return block.ljust(1 << 20, b"A")


BILLION_LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
    + b"]>"
)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "ztxt bomb": lambda: png(chunk(b"zTXt", b"parameters\0\0" + compress_zeros(64 << 20))),
    "ztxt bombs": lambda: png(chunk(b"zTXt", b"parameters\0\0" + compress_zeros(8 << 20)) * 1000),
    "itxt bomb": lambda: png(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + compress_zeros(64 << 20, b"<a>"))
    ),
    "many texts": lambda: png(chunk(b"tEXt", b"parameters\0" + b"Steps: 1, " * 5) * 100_000),
    "many chunks": lambda: png(chunk(b"abCd", b"") * 700_000),
    "many segments": lambda: jpeg(*[(0xFE, b"Steps: 1, ")] * 100_000),
    "fill bytes": lambda: b"\xff\xd8" + b"\xff" * (10 << 20),
    "webp chunks": lambda: b"RIFF\0\0\0\0WEBP" + b"EXIF\0\0\0\0" * 1_000_000,
    "deep xmp": lambda: png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<a>" * 300_000)),
    "attributes": lambda: png(
        chunk(
            b"iTXt",
            b"XML:com.adobe.xmp\0\0\0\0\0<a " + b" ".join(b'b%d=""' % i for i in range(90_000)) + b"/>",
        )
    ),
    "namespaces": lambda: png(
        chunk(
            b"iTXt",
            b"XML:com.adobe.xmp\0\0\0\0\0" + b"".join(b'<a xmlns:b%d="c%d">' % (i, i) for i in range(40_000)),
        )
    ),
    "billion laughs": lambda: encoded(
        "WEBP", xmp=BILLION_LAUGHS + xmp("<xmp:CreatorTool>Midjourney &j;</xmp:CreatorTool>")[40:]
    ),
    "exif circle": lambda: png(chunk(b"eXIf", repeated_directory())),
    "tiff circle": lambda: repeated_directory(),
    "tiff texts": lambda: repeated_directory() + b"A" * (9 << 20),
    "json depth": lambda: png_texts(prompt="[" * (1 << 20), workflow='{"a":' * 200_000),
    "c2pa size": lambda: png(chunk(b"caBX", JUMBF.ljust(9 << 20))),
    "c2pa depth": lambda: png(chunk(b"caBX", JUMBF[:46] * 90_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_takes_bounded_time_and_memory(name: str) -> None:
    data = HOSTILE[name]()
    begun = time.process_time()
    found = read_provenance(data)
    assert time.process_time() - begun < 1
    tracemalloc.start()
    try:
        assert read_provenance(data) == found
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()
    assert found.generator is None
    assert found.camera is None


def test_a_document_type_declaration_ends_the_reading_of_xmp() -> None:
    packet = xmp(f"<Iptc4xmpExt:DigitalSourceType>{TRAINED}</Iptc4xmpExt:DigitalSourceType>")
    start = packet.index(b"<x:xmpmeta")
    assert read_xmp(packet)
    assert read_xmp(b"<!DOCTYPE x>" + packet[start:]) == {}


def test_a_limit_is_reported_and_what_was_found_before_is_kept() -> None:
    found = read_provenance(
        png(chunk(b"tEXt", b"parameters\0" + STEPS.encode()), chunk(b"abCd", b"") * 30_000)
    )
    assert found.generator == A1111
    assert not found.complete


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"eXIf", b""),
        chunk(b"eXIf", b"Exif\0\0XX*\0\x08\0\0\0"),
        chunk(b"zTXt", b"parameters\0\0" + b"\xff" * 20),
    ],
)
def test_a_damaged_part_does_not_hide_the_others(damaged: bytes) -> None:
    found = read_provenance(png(damaged, chunk(b"tEXt", b"parameters\0" + STEPS.encode())))
    assert found.generator == A1111
    assert not found.complete


def test_after_the_deadline_nothing_is_read() -> None:
    found = read_provenance(file("automatic1111.png"), time.monotonic() - 1)
    assert found == provenance.Provenance(complete=False)
