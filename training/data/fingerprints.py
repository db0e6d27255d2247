"""Fingerprints of pictures: which ones a model has seen, told by a small file beside it.

A fingerprint has 64 bits: 56 are the signs of low frequencies of luma, as in perceptual hashes (Zauner 2010,
"Implementation and Benchmarking of Perceptual Image Hash Functions"), and 8 are its mean. Two decoders of one
JPEG file change few of the signs, because they agree on luma up to rounding.
"""

from pathlib import Path

import numpy as np

from model.files import atomic_write
from model.images.statistics import LUMA
from model.metadata import CheckpointError, digest_of

# Of the hackathon's 2,000 pictures 1,989 are in what the shipped model was fitted to. All of these are found,
# at most 3 signs apart, and none of the others. Of 10,000 test pictures, which are not in it, 5 are found.
MAX_SIGNS, MAX_MEAN = 3, 1
MAX_BYTES = 64 << 20
CHUNK = 64
SUFFIX = ".fingerprints"

_ROWS, _COLUMNS = range(1, 8), range(1, 9)  # frequencies, in half waves over a side
_LUMA = np.array(LUMA, np.float32)
_DIGEST = 32


def fingerprints(images: np.ndarray) -> np.ndarray:
    """The fingerprints of RGB pictures, uint8 of shape (N, size, size, 3), as uint64 of shape (N,).

    That of an enlarged picture is nearly the same.
    """
    parts = [np.empty(0, np.uint64)]
    rows, columns = (_cosines(images.shape[1], frequencies) for frequencies in (_ROWS, _COLUMNS))
    for start in range(0, len(images), 1000):
        luma = images[start : start + 1000].astype(np.float32) @ _LUMA
        signs = np.packbits((rows @ luma @ columns.T > 0).reshape(len(luma), -1), axis=1)
        mean = luma.mean((1, 2)).round().astype(np.uint8)
        parts.append(np.column_stack([mean, signs]).view("<u8")[:, 0].astype(np.uint64))
    return np.concatenate(parts)


def contained(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each picture is among the others, bool of shape (N,); both are fingerprints."""
    found = np.zeros(len(pictures), bool)
    others = np.unique(others)
    for start in range(0, len(pictures) if len(others) else 0, CHUNK):
        part = pictures[start : start + CHUNK, None]
        near = np.bitwise_count((part ^ others) >> np.uint64(8)) <= MAX_SIGNS
        which, where = np.nonzero(near)
        means, other_means = (_mean(part[which, 0]), _mean(others[where]))
        found[start + which[np.abs(means - other_means) <= MAX_MEAN]] = True
    return found


def write_fingerprints(checkpoint: Path, digest: str, values: np.ndarray) -> None:
    """Write the fingerprints of all that a checkpoint has seen into a file beside it.

    digest: the checkpoint file's SHA-256, in hexadecimal. The file has its 32 bytes, and then the different
    fingerprints in ascending order, each as 8 bytes, the least significant first.
    """
    with atomic_write(checkpoint.with_suffix(SUFFIX)) as file:
        file.write(bytes.fromhex(digest) + np.unique(values).astype("<u8").tobytes())


def read_fingerprints(checkpoint: Path, digest: str) -> np.ndarray | None:
    """What `write_fingerprints` wrote for a checkpoint, uint64 of shape (N,); None if there is no such file.

    Raises CheckpointError if the file is that of another checkpoint, or damaged.
    """
    path = checkpoint.with_suffix(SUFFIX)
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path} has more than {MAX_BYTES} bytes: delete it or fetch it anew")
    content = path.read_bytes()
    if content[:_DIGEST].hex() != digest or len(content) % 8:
        raise CheckpointError(f"{path} is damaged or of another checkpoint than {checkpoint}: delete it")
    return np.frombuffer(content[_DIGEST:], "<u8").astype(np.uint64)


def copy_fingerprints(source: Path, source_digest: str, target: Path) -> None:
    """Give a checkpoint that was made from another one, with the same weights, that one's fingerprints."""
    values = read_fingerprints(source, source_digest)
    target.with_suffix(SUFFIX).unlink(missing_ok=True)
    if values is not None:
        write_fingerprints(target, digest_of(target), values)


def _cosines(size: int, frequencies: range) -> np.ndarray:
    """The discrete cosine transform (DCT-II) as a matrix, float32 of shape (frequencies, size)."""
    phases = np.pi * (np.arange(size) + 0.5) / size
    return np.cos(np.outer(frequencies, phases)).astype(np.float32)


def _mean(values: np.ndarray) -> np.ndarray:
    return (values & np.uint64(255)).astype(np.int16)
