"""Hostile pictures: small files that take much time or memory to decode."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable

from PIL import Image

MIB = 1 << 20
Entry = tuple[int, int, int, bytes]  # tag, type, count, value: TIFF 6.0, section 2
BYTE, SHORT, LONG, RATIONAL = 1, 3, 4, 5


def encoded(file_format: str, side: int = 32, mode: str = "RGB", **options: object) -> bytes:
    """A black picture of side x side pixels."""
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, file_format, **options)
    return file.getvalue()


def directory(*entries: Entry, big: bool = False, start: int | None = None) -> bytes:
    """An image file directory for offset `start` (default 8, or 16 in a BigTIFF), followed by its values."""
    at = (16 if big else 8) if start is None else start
    table, inline = (20, 8) if big else (12, 4)
    after = at + (8 if big else 2) + table * len(entries) + inline
    head, values = struct.pack("<Q" if big else "<H", len(entries)), b""
    for tag, kind, count, value in entries:
        field = value.ljust(inline, b"\0")
        if len(value) > inline:
            field = struct.pack("<Q" if big else "<L", after + len(values))
            values += value
        head += struct.pack("<HHQ" if big else "<HHL", tag, kind, count) + field
    return head + bytes(inline) + values


def tiff(*entries: Entry, big: bool = False) -> bytes:
    """A TIFF file with one image file directory; its values over 4 bytes (8 in a BigTIFF) follow it."""
    return (b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) if big else b"II*\0\x08\0\0\0") + directory(
        *entries, big=big
    )


def number(tag: int, *values: int) -> Entry:
    """An entry of 32-bit numbers."""
    return tag, LONG, len(values), struct.pack(f"<{len(values)}L", *values)


def grey(width: int, height: int, *entries: Entry, compression: int = 1, big: bool = False) -> bytes:
    """An 8-bit grayscale TIFF file with additional entries."""
    shape = [
        number(256, width),
        number(257, height),
        number(258, 8),
        number(259, compression),
        number(262, 1),
    ]
    return tiff(*sorted([*shape, *entries]), big=big)


def segment(marker: int, content: bytes) -> bytes:
    """A JPEG segment: ITU-T T.81, B.1.1.4."""
    return bytes([255, marker]) + struct.pack(">H", len(content) + 2) + content


def with_segments(segments: Iterable[bytes]) -> bytes:
    """A small JPEG with these segments after its start marker."""
    data = encoded("JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def chunk(name: bytes, content: bytes = b"") -> bytes:
    """A PNG chunk: its specification, section 5.3."""
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG with an IHDR of these numbers, followed by the chunks."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, 0))
        + (b"".join(chunks) + chunk(b"IEND"))
    )


def zeros(size: int) -> bytes:
    """`size` zero bytes, compressed with zlib."""
    packer, piece = zlib.compressobj(1), bytes(MIB)
    packed = b"".join(packer.compress(piece) for _ in range(size // MIB))
    return packed + packer.compress(bytes(size % MIB)) + packer.flush()


def black(row: int, rows: int) -> bytes:
    """IDAT of `rows` rows of `row` zero bytes each and their filter byte."""
    return chunk(b"IDAT", zeros((row + 1) * rows))


def jpeg_empty_scans(scans: int = 1200, side: int = 4992) -> bytes:
    """A progressive JPEG with many empty scans of the last coefficient: 55 bytes each."""
    data = encoded("JPEG", side, progressive=True)
    first = data.index(b"\xff\xda")
    scan = data[first : data.index(b"\xff", first + 10)]
    table = segment(
        0xC4, b"\x10" + bytes([1]) + bytes(15) + b"\xe0"
    )  # the end of 16384 blocks, in 15 zero bits
    ends = -(-((side // 8) ** 2) // 16384)
    empty = segment(0xDA, bytes([1, 1, 0, 63, 63, 0])) + bytes(ends * 15 // 8 + 1)
    return data[:first] + scan + table + empty * scans + b"\xff\xd9"


def jpeg_exif_segments(size: int = 8 * MIB) -> bytes:
    """Exif split into segments of 258 bytes, which a reader concatenates."""
    return with_segments([segment(0xE1, b"Exif\0\0" + bytes(248))] * (size // 258))


def jpeg_junk(size: int = 9 * MIB) -> bytes:
    """Junk between two segments."""
    data = encoded("JPEG")
    return data[:20] + bytes(size) + data[20:]


def jpeg_small_segments(size: int = 9 * MIB) -> bytes:
    """Empty comments."""
    return with_segments([segment(0xFE, b"")] * (size // 4))


def exif_rationals(size: int = 9 * MIB) -> bytes:
    """Exif whose orientation has a million rationals."""
    count = size // 8
    return tiff((0x0112, RATIONAL, count, struct.pack("<LL", 355, 113) * count))


def jpeg_exif_rationals() -> bytes:
    """A JPEG with this Exif split over segments."""
    data = exif_rationals()
    return with_segments(
        segment(0xE1, b"Exif\0\0" + data[at : at + 65000]) for at in range(0, len(data), 65000)
    )


def png_exif_rationals() -> bytes:
    """A PNG with this Exif in one chunk."""
    return png(32, 32, chunk(b"eXIf", exif_rationals()), black(96, 32))


def png_small_chunks(size: int = 9 * MIB) -> bytes:
    """Empty private chunks."""
    return png(32, 32, chunk(b"prVt") * (size // 12), black(96, 32))


def png_small_data(size: int = 9 * MIB) -> bytes:
    """Empty IDAT chunks."""
    return png(32, 32, chunk(b"IDAT") * (size // 12), black(96, 32))


def png_texts(texts: int = 8000) -> bytes:
    """Compressed texts that unpack to 8 GB; Pillow does not count them, as they are not UTF-8."""
    text = zlib.compress(b"\xff" * (MIB - 1), 9)
    return png(32, 32, chunk(b"iTXt", b"k\0\1\0\0\0" + text) * texts, black(96, 32))


def png_wide_texts(texts: int = 60) -> bytes:
    """Compressed texts with one wide character: a str of 4 bytes per character."""
    text = zlib.compress(b"a" * (MIB - 8) + "\U0001f600".encode(), 9)
    return png(32, 32, *(chunk(b"iTXt", b"%d\0\1\0\0\0" % i + text) for i in range(texts)), black(96, 32))


def png_tall() -> bytes:
    """One pixel wide and 25 million high."""
    return png(1, 25_000_000, black(3, 25_000_000))


def png_deep() -> bytes:
    """25 million pixels of 8 bytes."""
    return png(5000, 5000, black(40_000, 5000), bits=16, colour=6)


def gif_small_blocks(size: int = 9 * MIB) -> bytes:
    """A comment in blocks of one byte."""
    data = encoded("GIF", mode="L")
    at = data.index(b",", 13)
    return data[:at] + b"!\xfe" + b"\x01a" * (size // 2) + b"\0" + data[at:]


def gif_extensions(size: int = 9 * MIB) -> bytes:
    """Empty extensions."""
    data = encoded("GIF", mode="L")
    at = data.index(b",", 13)
    return data[:at] + b"!\x01\0" * (size // 3) + data[at:]


def bmp(width: int, height: int, bits: int, compression: int, content: bytes) -> bytes:
    """A BMP file whose palette is red and green."""
    palette = struct.pack("<LL", 0xFF0000, 0x00FF00) * (1 << bits >> 1)
    info = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, compression, len(content), 0, 0, 0, 0)
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<LLL", start + len(content), 0, start) + info + palette + content


def bmp_runs(side: int = 2150) -> bytes:
    """Run-length encoding with runs of one pixel."""
    return bmp(side, side, 8, 1, (b"\1\1" * side + b"\0\0") * side + b"\0\1")


def bmp_lines(side: int = 5000) -> bytes:
    """Run-length encoding whose lines end after the first pixel."""
    return bmp(side, side, 4, 2, b"\1\0\0\0" * side + b"\0\1")


def tiff_tile(side: int = 20_000) -> bytes:
    """32 x 32 pixels in one tile of side x side, deflated."""
    packed = zeros(side * side)
    where = [number(322, side), number(323, side)]
    whole = grey(32, 32, *where, number(324, 0), number(325, len(packed)), compression=8)
    return grey(32, 32, *where, number(324, len(whole)), number(325, len(packed)), compression=8) + packed


def tiff_strips_again(count: int = 250_000, side: int = 1200) -> bytes:
    """Two strips, referenced many times."""
    entries = (number(273, *[8] * count), number(278, side - 1), number(279, *[side * side] * count))
    return grey(side, side, *entries) + bytes(side * side)


def tiff_entries(size: int = 9 * MIB) -> bytes:
    """A BigTIFF with half a million directory entries."""
    data = tiff(*[(40000, 99, 1, b"")], big=True)
    entry = data[24:44]
    return data[:16] + struct.pack("<Q", size // 20) + entry * (size // 20) + bytes(8)


def tiff_rationals() -> bytes:
    """A resolution with a million rationals."""
    count = MIB
    return grey(
        32,
        32,
        number(273, 8),
        number(279, 1024),
        (282, RATIONAL, count, struct.pack("<LL", 355, 113) * count),
    )


def tiff_jpeg_scans(side: int = 4992) -> bytes:
    """Strips that are all the same progressive JPEG of 90 scans."""
    scan = jpeg_empty_scans(90, side).replace(b"\xff\xc0", b"\xff\xc2")
    count = 1
    head = [number(278, side), number(279, *[len(scan)] * count)]
    shape = [
        number(256, side),
        number(257, side),
        (258, SHORT, 3, struct.pack("<3H", 8, 8, 8)),
        number(277, 3),
    ]
    rest = [number(259, 7), number(262, 6), *head]
    start = len(tiff(*shape, *rest, number(273, *[0] * count)))
    return tiff(*sorted([*shape, *rest, number(273, *[start] * count)])) + scan


def tiff_backward_bits(size: int = 8 * MIB, rows: int = 65_000) -> bytes:
    """One-row strips that all reference the whole file, in reversed bit order."""
    fields = [
        number(256, 8),
        number(257, rows),
        number(258, 1),
        number(259, 32773),
        number(262, 1),
        number(266, 2),
    ]
    strips = [
        (273, LONG, rows, struct.pack("<L", 8) * rows),
        number(278, 1),
        (279, LONG, rows, struct.pack("<L", size) * rows),
    ]
    return tiff(*fields, *strips) + bytes(size)


def webp_canvas(side: int = 13_000) -> bytes:
    """A small picture on a canvas of side x side pixels."""
    frame = encoded("WEBP")[12:]
    size = (side - 1).to_bytes(3, "little")
    part = bytes(6) + (31).to_bytes(3, "little") * 2 + bytes(4) + frame
    body = b"VP8X" + struct.pack("<L", 10) + b"\2\0\0\0" + size + size
    body += b"ANIM" + struct.pack("<L", 6) + bytes(6) + b"ANMF" + struct.pack("<L", len(part)) + part
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


def webp_chunks(size: int = 9 * MIB) -> bytes:
    """Empty chunks after the picture."""
    size_field = (31).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<L", 10) + b"\0\0\0\0" + size_field * 2 + encoded("WEBP")[12:]
    body += (b"prVt" + bytes(4)) * (size // 8)
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


def png_long_texts() -> bytes:
    """Texts that decompress to 100 MB each, in all places where an orientation may stand."""
    text = zlib.compress(bytes(100 * MIB), 9)
    keywords = (b"XML:com.adobe.xmp", b"Raw profile type exif", b"parameters")
    chunks = [chunk(b"iTXt", keyword + b"\0\1\0\0\0" + text) for keyword in keywords]
    chunks += [chunk(b"zTXt", keyword + b"\0\0" + text) for keyword in keywords]
    plain = encoded("PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def jpeg_without_end() -> bytes:
    """25 megapixels in many scans, which have to be decoded to see whether all rows are there."""
    return encoded("JPEG", 5000, progressive=True)[:-2]


def avif_large_frame() -> bytes:
    """A picture of 32x32 pixels whose AV1 stream has frames of 5,008x5,008."""
    size = (5008).to_bytes(4) * 2
    return encoded("AVIF", 5008, "L", speed=10).replace(size, (32).to_bytes(4) * 2)


def avif_many_extents() -> bytes:
    """An item of 60,000 parts, each of them the whole file."""
    item = struct.pack(">HHH", 1, 0, 60_000) + struct.pack(">LL", 0, 500_000) * 60_000
    iloc = struct.pack(">L4sLHH", 16 + len(item), b"iloc", 0, 0x4400, 1) + item
    infe = struct.pack(">L4sLHH4sB", 21, b"infe", 2 << 24, 1, 0, b"av01", 0)
    iinf = struct.pack(">L4sLH", 14 + len(infe), b"iinf", 0, 1) + infe
    meta = struct.pack(">L4sL", 12 + len(iinf) + len(iloc), b"meta", 0) + iinf + iloc
    return struct.pack(">L4s4sL4s", 20, b"ftyp", b"avif", 0, b"avif") + meta


PICTURES: dict[str, Callable[[], bytes]] = {
    f"{name}.{name.split('_')[0]}": builder
    for name, builder in list(globals().items())
    if name.startswith(("jpeg_", "png_", "gif_", "bmp_", "tiff_", "webp_", "avif_"))
}
