"""What a client sends: its bytes within time, the files of its form, the one picture of a request."""

import base64
import binascii
import io
import select
import socket
import tempfile
import time
from contextlib import suppress
from typing import IO

from flask import Request, request

from api.errors import BadRequestProblem, LateProblem, StalledProblem, TooLargeProblem

# What a form or JSON adds around a picture: boundaries, headers, names.
ENVELOPE = 64 << 10
# A form's files up to this many bytes together stay in memory; larger ones share one temporary file.
IN_MEMORY = 1 << 20


class ClientStream(io.RawIOBase):
    """The body of a request, as the server gives it, with the client's faults told as what they are.

    deadline: by time.monotonic(), after which nothing more is read. A read raises LateProblem past it,
    StalledProblem where the client stopped sending, and BadRequestProblem for a body that ends early or is
    not framed as HTTP wants: whatever goes wrong while a client's bytes are read is that client's.
    """

    def __init__(self, stream: IO[bytes], deadline: float) -> None:
        self._stream = stream
        self.deadline = deadline

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self.deadline:
            raise LateProblem("the upload did not end in time")
        try:
            return self._stream.read(size)
        except TimeoutError as error:
            raise StalledProblem("the request's body stopped coming; send it whole") from error
        except Exception as error:
            raise BadRequestProblem(
                f"the request's body cannot be read: {error or type(error).__name__}"
            ) from error

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        raise io.UnsupportedOperation("a body is read in pieces, not in lines")


class FormFile(io.RawIOBase):
    """One file of a form: a part of a temporary file that all files of the form are written to in turn."""

    def __init__(self, shared: IO[bytes]) -> None:
        self._shared = shared
        self._start = shared.seek(0, io.SEEK_END)
        self._size = self._at = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._shared.seek(self._start + self._at)
        self._shared.write(data)
        self._at += len(data)
        self._size = max(self._size, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + (0, self._at, self._size)[whence]
        if place < 0:
            raise ValueError(f"there is no place {place} in a file")
        self._at = place
        return place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._shared.seek(self._start + self._at)
        data = self._shared.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class UploadRequest(Request):
    """A request whose form takes one file descriptor, however many files it has."""

    _shared: IO[bytes] | None = None

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if total_content_length is not None and total_content_length <= IN_MEMORY:
            return io.BytesIO()
        if self._shared is None:
            self._shared = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed with the request
        return FormFile(self._shared)  # type: ignore[return-value]

    def close(self) -> None:
        super().close()
        if self._shared is not None:
            with suppress(OSError):  # it writes what it holds first, and the disk may be full
                self._shared.close()


def bound_upload(most: int, deadline: float) -> None:
    """Let this request's body have `most` bytes and come until `deadline`, by time.monotonic().

    To be called before anything of the body is read.
    """
    request.max_content_length = most
    request.environ["wsgi.input"] = ClientStream(request.environ["wsgi.input"], deadline)


def client_gone() -> bool:
    """Whether this request's client has closed the connection, so that nobody would read the answer.

    Only gunicorn tells; a client that closed just its sending side is taken to be gone too.
    """
    client = request.environ.get("gunicorn.socket")
    if client is None:
        return False
    poll = select.poll()
    poll.register(client, select.POLLIN)
    try:
        # Not `client.recv`, which may give what was read ahead of time.
        return bool(poll.poll(0)) and not socket.socket.recv(client, 1, socket.MSG_PEEK)
    except OSError:
        return True


def picture_bytes(most: int, deadline: float) -> bytes:
    """The bytes of the one picture in this request, `most` at most, whichever of the three forms it has.

    A body that is neither a form nor JSON is the picture itself, also under the content type that
    `curl --data-binary` sends unasked. Raises Problem.
    """
    if request.mimetype == "multipart/form-data":
        bound_upload(most + ENVELOPE, deadline)
        data = _from_form()
    elif request.mimetype == "application/json":
        bound_upload(most * 4 // 3 + ENVELOPE, deadline)
        data = _from_json()
    else:
        bound_upload(most + 1, deadline)  # a body without a length is cut there, and told below
        data = request.get_data(cache=False)
    if not data:
        raise BadRequestProblem(
            "there is no picture in this request: send it as the multipart field `file`, as the body, "
            'or as JSON {"file": "<base64>"}'
        )
    if len(data) > most:
        raise TooLargeProblem(f"a picture may have {most} bytes at most; send a smaller one")
    return data


def _from_form() -> bytes:
    files = request.files.getlist("file")
    if len(files) != 1:
        fields = ", ".join(sorted({*request.files, *request.form})) or "none"
        raise BadRequestProblem(
            f"send exactly one picture in the multipart field `file`, as a file; there were {len(files)} "
            f"(fields sent: {fields}); several pictures go to /batch"
        )
    return files[0].read()


def _from_json() -> bytes:
    try:
        content = request.get_json(cache=False)
    except RecursionError as error:
        raise BadRequestProblem("the JSON is nested too deep") from error
    text = content.get("file") if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise BadRequestProblem('the JSON must be {"file": "<the picture in base64, or as a data URL>"}')
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadRequestProblem("a data URL must be `data:<type>;base64,<data>`")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestProblem(f"`file` is not base64: {error}") from error
