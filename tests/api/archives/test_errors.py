import errno
import io
import struct
import tempfile

import pytest

from api.archives.members import parsing_errors
from api.errors import BrokenProblem, BusyProblem
from tests.api.archives.reading import LIMITS, member, read_archive, seeds, tar_of


class Failing(io.BytesIO):
    """A disk that fails from the `good`th read on."""

    def __init__(self, data: bytes, error: Exception, good: int) -> None:
        super().__init__(data)
        self._error, self._good = error, good

    def read(self, size: int | None = -1) -> bytes:
        self._good -= 1
        if self._good < 0:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("good", range(1, 9))
def test_server_errors_are_not_client_errors(code: int, good: int) -> None:
    for data in seeds():
        file = Failing(data, OSError(code, "of the machine"), good)
        outcome: object
        try:
            outcome = len(list(read_archive(file, LIMITS)))
        except OSError as error:
            outcome = errno.errorcode[error.errno]
        assert outcome in (errno.errorcode[code], 1, 3)  # a number if it was read before the error


def test_a_full_disk_while_a_tar_gz_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def __init__(self, max_size: int) -> None:
            super().__init__()

        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(OSError, match="No space"):
        list(read_archive(io.BytesIO(tar_of((member("1.png", 1), b"a"), mode="w:gz")), LIMITS))


@pytest.mark.parametrize("error", [KeyError("ours"), ValueError("ours"), OSError(errno.EINVAL, "ours")])
def test_internal_errors_are_not_client_errors(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("api.archives.names.archive_path", fail)
    for data in seeds():
        with pytest.raises(type(error), match="ours"):
            list(read_archive(io.BytesIO(data), LIMITS))


@pytest.mark.parametrize(
    "error",
    [OSError("x"), OSError(errno.EINVAL, "x"), struct.error, KeyError("x"), RecursionError("x"), EOFError()],
)
def test_library_errors_are_client_errors(error: Exception) -> None:
    with pytest.raises(BrokenProblem, match="damaged"), parsing_errors():
        raise error


@pytest.mark.parametrize(
    "error", [MemoryError(), TimeoutError(), OSError(errno.ENOSPC, "x"), BusyProblem("x")]
)
def test_errors_that_are_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)), parsing_errors():
        raise error
