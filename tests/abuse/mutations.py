"""Damaged files of every kind, sent over HTTP: `python -m tests.abuse mutations [FILES [SEED]]`.

Bits are flipped, parts are cut off, left out, doubled, exchanged with another file's, and numbers of one, two
or four bytes, as lengths are, are overwritten; then some PNGs get right checksums, and some tars are packed
whole. No answer may be a server error but 504 and 507, no worker may die, and the memory comes back. A file
is made of the seed and its number alone; one that does harm is kept.
"""

import gzip
import http.client
import io
import random
import tempfile
import time
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from tests.abuse.calls import call, megabytes, report, service, workers
from tests.benchmarks.load import form
from tests.pictures import encode, noise, tarred, zipped

CLIENTS = 8
ALLOWED = (504, 507)  # of the server errors
ANSWER_SECONDS = 60
IDLE_SECONDS, LEFT_MEGABYTES = 15, 50
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def originals() -> dict[str, list[bytes]]:
    """Whole files of each kind."""
    picture, large = noise(1), noise(2, 300, 200)
    grey, alpha = Image.fromarray(picture).convert("L"), Image.fromarray(picture).convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6
    few = {f"{number}.png": encode(noise(number)) for number in range(4)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in few.items():
            archive.writestr(name, data)
    return {
        "png": [encode(picture), encode(large), encode(alpha), encode(grey.convert("P"))],
        "jpeg": [
            encode(picture, "JPEG", exif=exif),
            encode(large, "JPEG", progressive=True),
            encode(grey, "JPEG"),
        ],
        "webp": [
            encode(picture, "WEBP"),
            encode(alpha, "WEBP", lossless=True),
            encode(large, "WEBP", exif=exif),
        ],
        "gif": [encode(picture, "GIF"), encode(grey, "GIF", save_all=True, append_images=[grey.rotate(90)])],
        "bmp": [encode(picture, "BMP"), encode(grey, "BMP"), encode(grey.convert("1"), "BMP")],
        "tiff": [
            encode(large, "TIFF", compression=name)
            for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
        ],
        "avif": [encode(picture, "AVIF", speed=10), encode(alpha, "AVIF", speed=10, exif=exif)],
        "zip": [zipped(few), packed.getvalue()],
        "tar": [tarred(few, "w:")],
        "tar.gz": [tarred(few, "w:gz")],
    }


def flip(rng: random.Random, data: bytearray, _: bytes) -> None:
    """A few bits."""
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def truncate(rng: random.Random, data: bytearray, _: bytes) -> None:
    """The end is missing."""
    del data[rng.randrange(1, len(data)) :]


def remove(rng: random.Random, data: bytearray, _: bytes) -> None:
    """A part is missing."""
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 64)]


def double(rng: random.Random, data: bytearray, _: bytes) -> None:
    """A part is there several times."""
    start = rng.randrange(len(data))
    part = data[start : start + rng.randrange(1, 512)]
    data[start:start] = part * rng.choice((1, 2, 50))


def splice(rng: random.Random, data: bytearray, other: bytes) -> None:
    """The beginning, and another file's end."""
    del data[rng.randrange(1, len(data)) :]
    data += other[rng.randrange(len(other)) :]


def overwrite(rng: random.Random, data: bytearray, _: bytes) -> None:
    """A number of one to four bytes; most of them near the beginning, where headers are, or the end."""
    width = rng.choice((1, 2, 4))
    place = rng.choice((rng.randrange(min(len(data), 128)), rng.randrange(len(data)), -rng.randrange(1, 128)))
    number = rng.choice(NUMBERS) & (256**width - 1)
    place = max(0, min(place % len(data), len(data) - width))
    data[place : place + width] = number.to_bytes(width, rng.choice(("big", "little")))


MUTATIONS: tuple[Callable[[random.Random, bytearray, bytes], None], ...] = (
    flip, truncate, remove, double, splice, overwrite, overwrite,
)  # fmt: skip


def with_checksums(data: bytearray) -> None:
    """A PNG's chunks with the checksums of what they contain, without which most are refused for these."""
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        end = at + 8 + size
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4)
        at = end + 4


def mutated(files: dict[str, list[bytes]], seed: int, number: int) -> tuple[str, bytes]:
    """The kind and content of a file; kinds take turns."""
    rng = random.Random(f"{seed} {number}")
    kind = sorted(files)[number % len(files)]
    data = bytearray(rng.choice(files[kind]))
    other = rng.choice(files[rng.choice((kind, rng.choice(sorted(files))))])
    unpacked = kind == "tar.gz" and rng.random() < 0.5
    if unpacked:
        data = bytearray(gzip.decompress(data))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if len(data) > 1:
            rng.choice(MUTATIONS)(rng, data, other)
    if kind == "png" and rng.random() < 0.7:
        with_checksums(data)
    return kind, gzip.compress(data, 1, mtime=0) if unpacked else bytes(data)


def send(url: str, files: dict[str, list[bytes]], seed: int, numbers: range) -> list[tuple[int, str, int]]:
    """(number, kind, status) of each file, sent one after the other on a connection that is kept open."""
    answers = []
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=ANSWER_SECONDS)
    team = uuid.uuid4().hex
    for number in numbers:
        kind, data = mutated(files, seed, number)
        if kind in ("zip", "tar", "tar.gz"):
            upload, path = (
                form("archive", data, f"x.{kind}", "application/octet-stream"),
                f"/batch?team={team}",
            )
        elif number % 3:
            upload, path = form("file", data, f"x.{kind}", f"image/{kind}"), "/predict?provenance=1"
        else:
            upload, path = form("files", data, f"x.{kind}", f"image/{kind}"), f"/batch?team={team}&detail=1"
        try:
            connection.request("POST", path, upload.body, {"Content-Type": upload.content_type})
            with connection.getresponse() as response:
                response.read()
                status = response.status
        except (OSError, http.client.HTTPException):
            status = 0
            connection.close()
        answers.append((number, kind, status))
    connection.close()
    return answers


def main(count: int = 10_000, seed: int = 1) -> int:
    """Print a table."""
    files, problems = originals(), []
    print(f"{count} files, seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory() as outputs,
        service(Path(outputs), CIFAKE_WORKERS="2") as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        # What is loaded and cached at the first use of a decoder is none of the damaged files' doing.
        for whole in files.values():
            for data in whole:
                call(server.url, "POST", "/predict", data, Content_Type="application/octet-stream")
        list(
            pool.map(
                lambda first: send(server.url, files, seed - 1, range(first, 200, CLIENTS)), range(CLIENTS)
            )
        )
        time.sleep(IDLE_SECONDS / 3)
        pids, before = workers(server), {pid: megabytes(pid) for pid in workers(server)}
        started_at = time.monotonic()
        sent = pool.map(
            lambda first: send(server.url, files, seed, range(first, count, CLIENTS)), range(CLIENTS)
        )
        answers = [answer for part in sent for answer in part]
        seconds = time.monotonic() - started_at
        deadline = time.monotonic() + IDLE_SECONDS
        left = float("inf")
        while time.monotonic() < deadline and left > LEFT_MEGABYTES:
            time.sleep(1)
            left = max(megabytes(pid) - before.get(pid, 0.0) for pid in workers(server))
        if workers(server) != pids:
            problems.append(f"the workers were {sorted(pids)} and are {sorted(workers(server))}")
        if left > LEFT_MEGABYTES:
            problems.append(f"{left:.0f} MB more than before")
        if call(server.url, "GET", "/readyz")[0] != 200:
            problems.append("the service is not ready")
    statuses: dict[str, Counter[int]] = {kind: Counter() for kind in sorted(files)}
    for number, kind, status in answers:
        statuses[kind][status] += 1
        if status == 0 or (status >= 500 and status not in ALLOWED):
            kept = Path(tempfile.gettempdir(), f"mutated-{seed}-{number}.{kind}")
            kept.write_bytes(mutated(files, seed, number)[1])
            problems.append(f"{kept}: {status or 'the connection broke'}")
    print("| kind | answers |\n|---|---|")
    for kind, counter in statuses.items():
        print(f"| {kind} | {', '.join(f'{n} x {status}' for status, n in sorted(counter.items()))} |")
    print(f"{seconds:.0f} s, {left:+.0f} MB after it", flush=True)
    return report(problems)
