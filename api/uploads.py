"""Reading request bodies: deadlines, form files, and the picture of a single-picture request."""

import io
import re
import select
import socket
import tempfile
import time
from contextlib import suppress
from typing import IO

from flask import Request, request

from api.errors import (
    BadRequestProblem,
    ContentEncodingProblem,
    DeadlineProblem,
    StalledProblem,
    TooLargeProblem,
    UnsupportedProblem,
)
from api.forms import FORM, FormParser, check_fields
from api.json_body import decode_base64, parse_json
from api.parameters import quoted

# Bytes that a form or JSON adds to a picture: boundaries, headers, names.
ENCODING_OVERHEAD = 64 << 10
# Forms up to this size are kept in memory; the files of larger ones share one temporary file.
SPOOL_BYTES = 1 << 20
MAX_JSON_VALUES = 1000  # more than any client has reason to send besides `file`
# What a body is, by its first bytes, that belongs under another Content-Type. No picture begins so.
OTHER_BODY = re.compile(
    rb"""(?P<json>(?:\xef\xbb\xbf)?\s*(?:\{(?!\\)|\[\s*["{\[]))
    |(?P<urlencoded>[\w%+.\[\]-]{1,64}=[!-~\s]*\Z)
    |(?P<multipart>--[^\r\n]+\r?\nContent-)""",
    re.VERBOSE | re.IGNORECASE,
)
OTHER_BODIES = {
    "json": "JSON: send it with the header Content-Type: application/json",
    "urlencoded": "an urlencoded form: send the picture as the multipart field `file` (curl -F file=@NAME) "
    "or as the body (curl --data-binary @NAME)",
    "multipart": f"a multipart form: let the client that writes it set the Content-Type {FORM}; boundary=...",
}


class RequestBody(io.RawIOBase):
    """Wraps `wsgi.input`: limits the upload's size and time, and converts errors to Problems.

    deadline: by time.monotonic(). A read raises DeadlineProblem past it, TooLargeProblem for more than
    `max_bytes`, StalledProblem if the client stopped sending, and BadRequestProblem for any other error, such
    as a truncated body or invalid chunked encoding.
    """

    def __init__(self, stream: IO[bytes], deadline: float, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes, self._bytes = max_bytes, 0
        self.deadline = deadline

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self.deadline:
            raise DeadlineProblem("the upload did not end in time")
        try:
            data = self._stream.read(size)
        except TimeoutError as error:
            raise StalledProblem("the client stopped sending the request's body; send all of it") from error
        except Exception as error:
            raise BadRequestProblem(
                f"the request's body cannot be read: {error or type(error).__name__}"
            ) from error
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise TooLargeProblem(f"the request's body may have {self._max_bytes} bytes at most; send less")
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        raise io.UnsupportedOperation("a request body is not read by lines")


class FormFile(io.RawIOBase):
    """One file of a form, stored as a section of a temporary file that all files of the form share."""

    def __init__(self, shared: IO[bytes]) -> None:
        self._shared_file = shared
        self._start = shared.seek(0, io.SEEK_END)
        self._size = self._position = 0

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._shared_file.seek(self._start + self._position)
        self._shared_file.write(data)
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = offset + (0, self._position, self._size)[whence]
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._shared_file.seek(self._start + self._position)
        data = self._shared_file.read(max(0, min(len(buffer), self._size - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """The rest of the file in one read; the base class reads 8 KB at a time."""
        self._shared_file.seek(self._start + self._position)
        data = self._shared_file.read(max(0, self._size - self._position))
        self._position += len(data)
        return data


class UploadRequest(Request):
    """A request whose form files share one file descriptor, and whose malformed form is a Problem."""

    form_data_parser_class = FormParser
    _shared_file: IO[bytes] | None = None

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if total_content_length is not None and total_content_length <= SPOOL_BYTES:
            return io.BytesIO()
        if self._shared_file is None:
            self._shared_file = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed with the request
        return FormFile(self._shared_file)  # type: ignore[return-value]

    def close(self) -> None:
        super().close()
        if self._shared_file is not None:
            with suppress(OSError):  # closing flushes, and the disk may be full
                self._shared_file.close()


def limit_upload(max_bytes: int, deadline: float) -> None:
    """Limit the size and time (by time.monotonic()) of the current request's body, before it is read.

    Raises ContentEncodingProblem if the body is compressed: its size would say nothing.
    """
    coding = request.environ.get("HTTP_CONTENT_ENCODING", "").strip()
    if coding.lower() not in ("", "identity"):
        raise ContentEncodingProblem(
            f"the body has the Content-Encoding {quoted(coding)}: send it as it is, without this header"
        )
    if (request.content_length or 0) > max_bytes:
        raise TooLargeProblem(f"the request's body may have {max_bytes} bytes at most; send less")
    request.max_content_length = max_bytes + 1  # of a chunked body, so that RequestBody sees what is too much
    request.environ["wsgi.input"] = RequestBody(request.environ["wsgi.input"], deadline, max_bytes)


def client_disconnected() -> bool:
    """Whether the client has closed the connection, or half-closed it. Always False without gunicorn."""
    client = request.environ.get("gunicorn.socket")
    if client is None:
        return False
    poll = select.poll()
    poll.register(client, select.POLLIN)
    try:
        # Not `client.recv`, which returns bytes from the read-ahead buffer.
        return bool(poll.poll(0)) and not socket.socket.recv(client, 1, socket.MSG_PEEK)
    except OSError:
        return True


def read_picture(max_bytes: int, deadline: float) -> bytes:
    """The bytes of the single picture in the current request: a form, JSON, or else the body itself.

    The content type of other bodies is ignored: `curl --data-binary` sends one of a form. Raises Problem.
    """
    if request.mimetype == FORM:
        limit_upload(max_bytes + ENCODING_OVERHEAD, deadline)
        data = _from_form()
    elif request.is_json:  # application/json, with any parameters, and application/*+json
        limit_upload(max_bytes * 4 // 3 + ENCODING_OVERHEAD, deadline)
        data = _from_json()
    else:
        limit_upload(max_bytes, deadline)
        data = request.get_data(cache=False)
        if other := OTHER_BODY.match(data, 0, 1024):
            raise UnsupportedProblem(f"this body is {OTHER_BODIES[other.lastgroup or '']}")
    if not data:
        raise BadRequestProblem(
            "there is no picture in this request: send it as the multipart field `file`, as the body, "
            'or as JSON {"file": "<base64>"}'
        )
    if len(data) > max_bytes:
        raise TooLargeProblem(f"a picture may have {max_bytes} bytes at most; send a smaller one")
    return data


def _from_form() -> bytes:
    check_fields("file")
    files = request.files.getlist("file")
    if len(files) > 1:
        raise BadRequestProblem(f"send exactly one picture, not {len(files)}; several pictures go to /batch")
    return files[0].read()


def _from_json() -> bytes:
    data = request.get_data(cache=False)
    if not data:
        return data
    content = parse_json(data, MAX_JSON_VALUES)
    text = content.get("file") if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise BadRequestProblem('the JSON must be {"file": "<the picture in base64, or as a data URL>"}')
    return decode_base64(text, "file")
