"""Parses forms, `multipart/form-data` (RFC 7578), and says what is wrong with those that cannot be parsed."""

import io
import re
from typing import IO

from flask import request
from werkzeug.datastructures import FileStorage, Headers, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Event, Field, File, MultipartDecoder, NeedData, State

from api.archives import names
from api.errors import BadRequestProblem, Problem, TooLargeProblem, UnsupportedProblem
from api.parameters import check_names, check_unique, quoted

FORM = "multipart/form-data"
CHUNK_BYTES = 64 << 10
# Limit of the headers of a form's parts, whose parsing is slow: so much for each part, and 1 MiB more.
PART_HEADER_BYTES = 1 << 10
# A backslash with what it escapes, or alone. A quote that ends the line is not escaped: it closes the string.
BACKSLASH = re.compile(rb'(\\\\|\\"(?![ \t]*$))|\\')


def check_fields(*files: str, texts: tuple[str, ...] = ()) -> None:
    """Check that the current request is a form with only these fields: `files`, and `texts` as text.

    Texts are given once, the query included. Raises BadRequestProblem or UnsupportedProblem, and those of
    the form's parser.
    """
    if request.mimetype != FORM:
        wanted = f"send a form, of the Content-Type {FORM}, with a file in the field {_either(files)}"
        if not request.mimetype:
            raise BadRequestProblem(f"{wanted}; this request has no Content-Type")
        raise UnsupportedProblem(f"{wanted}, not {quoted(request.mimetype)}")
    sent_files, sent_texts = request.files, request.form
    if not sent_files and not sent_texts:
        raise BadRequestProblem(f"the form is empty: send a file in the field {_either(files)}")
    check_names([*sent_files, *sent_texts], (*files, *texts), "form field")
    for name in texts:
        if name in sent_files:
            raise BadRequestProblem(f"the field {quoted(name)} is a file: send text, without a file name")
    if sent_texts:
        for name in files:
            if name in sent_texts:
                raise BadRequestProblem(
                    f"the field {quoted(name)} is text, without a file name: send a file (curl -F "
                    f"{name}=@FILE)"
                )
        check_unique(request.args, sent_texts)


def _either(fields: tuple[str, ...]) -> str:
    return " or ".join(map(quoted, fields))


class FormParser(FormDataParser):
    """Raises a Problem for a malformed form, where Werkzeug's own parser returns an empty one."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """The stream, the fields sent as text, and those sent as files. Other types of body are not read."""
        if mimetype != FORM:
            return stream, self.cls(), self.cls()
        boundary = _boundary(options or {})
        decoder = FormDecoder(boundary, self.max_form_memory_size, max_parts=self.max_form_parts)
        texts: list[tuple[str, IO[bytes]]] = []
        files: list[tuple[str, FileStorage]] = []
        while chunk := stream.read(CHUNK_BYTES):
            decoder.receive_data(chunk)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, File):
                    content = self.stream_factory(content_length, None, event.filename)
                    files.append((event.name, FileStorage(content, event.filename, event.name)))
                elif isinstance(event, Field):
                    content = io.BytesIO()
                    texts.append((event.name, content))
                elif isinstance(event, Data):
                    content.write(event.data)
                    if not event.more_data:
                        content.seek(0)
        decoder.finish()
        decoded = [(name, content.read().decode(errors="replace")) for name, content in texts]
        return stream, self.cls(decoded), self.cls(files)


def _boundary(options: dict[str, str]) -> bytes:
    boundary = options.get("boundary", "")
    if not boundary:
        raise BadRequestProblem(
            f"the Content-Type {FORM} lacks the form's boundary: let the client that writes the form set it"
        )
    if not boundary.isascii():
        raise BadRequestProblem(f"the form's boundary must be ASCII, not {quoted(boundary)}")
    return boundary.encode()


class FormDecoder(MultipartDecoder):
    """Decodes a form in pieces. Its errors are Problems, and file names need not be UTF-8.

    `max_form_memory_size` limits the bytes of all text fields together.
    """

    part: Field | File | None = None  # the one decoded last
    part_count = header_bytes = text_bytes = 0

    def receive_data(self, data: bytes | None) -> None:
        """Add the next piece of the body. Raises BadRequestProblem or TooLargeProblem."""
        try:
            super().receive_data(data)
        except RequestEntityTooLarge as error:
            raise self._buffer_too_large() from error

    def next_event(self) -> Event:
        """The next part, piece of its data, or NeedData. Raises BadRequestProblem or TooLargeProblem."""
        try:
            event = super().next_event()
        except RequestEntityTooLarge as error:
            raise TooLargeProblem(f"the form has more than {self.max_parts} parts; send fewer") from error
        except ValueError as error:
            raise BadRequestProblem(
                f"part {self.part_count + 1} of the form is malformed: {error}"
            ) from error
        if isinstance(event, (Field, File)):
            self.part = event
            self.part_count += 1
            if not event.name:
                raise BadRequestProblem(
                    f"part {self.part_count} of the form has no name: its header must be "
                    'Content-Disposition: form-data; name="..."'
                )
        elif isinstance(event, Data) and isinstance(self.part, Field):
            self.text_bytes += len(event.data)
            if self.max_form_memory_size is not None and self.text_bytes > self.max_form_memory_size:
                raise TooLargeProblem(
                    f"the form has more than {self.max_form_memory_size} bytes of text, the last of it in "
                    f"{quoted(self.part.name)}; send a file with a file name (curl -F NAME=@FILE)"
                )
        return event

    def finish(self) -> None:
        """Check that the form is complete, after the last piece of the body. Raises BadRequestProblem."""
        if self.state is State.PREAMBLE:
            raise self._no_delimiter()
        if self.state is not State.EPILOGUE:
            part, in_headers = self.part_count, self.state is State.PART
            place = f"before the data of part {part + 1}" if in_headers else f"in part {part}"
            raise BadRequestProblem(
                f"the form breaks off {place}: its final delimiter {self._delimiter('--')}, on its own line, "
                "is missing"
            )
        if b"--" + self.boundary in self.buffer:
            raise BadRequestProblem(
                f"the form goes on after its final delimiter {self._delimiter('--')}; end it there"
            )

    def _buffer_too_large(self) -> Problem:
        if self.state is State.PREAMBLE:
            return self._no_delimiter()
        if self.state is State.PART:
            return self._headers_too_large()
        return TooLargeProblem(f"the form is followed by more than {self.max_form_memory_size} bytes; end it")

    def _headers_too_large(self) -> Problem:
        return TooLargeProblem(
            f"the form's headers, up to those of part {self.part_count + 1}, are too long; shorten the names"
        )

    def _no_delimiter(self) -> Problem:
        if not self.buffer:
            return BadRequestProblem(f"the body is empty, although its Content-Type is {FORM}")
        return BadRequestProblem(
            f"the body is no form with the boundary of its Content-Type: it has no line {self._delimiter()}; "
            "let the client that writes the form set it"
        )

    def _delimiter(self, end: str = "") -> str:
        return quoted(f"--{self.boundary.decode()}{end}")

    def _last_partial_boundary_index(self, data: bytes | bytearray) -> int:
        if data.endswith(b"--" + self.boundary + b"-"):  # Werkzeug takes this beginning of an end for data
            data = data[:-1]
        return super()._last_partial_boundary_index(data)

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        self.header_bytes += len(data)
        if self.header_bytes > (1 << 20) + PART_HEADER_BYTES * self.part_count:
            raise self._headers_too_large()
        if b"\\" in data or not data.isascii():
            data = b"\n".join(map(_readable_header, bytes(data).splitlines()))
        return super()._parse_headers(data)


def _readable_header(line: bytes) -> bytes:
    """A header that Werkzeug reads as the client meant it: in UTF-8, with backslashes escaped.

    Browsers send a name as it is, except for quotes and line ends (WHATWG HTML, "multipart/form-data encoding
    algorithm"), and it may be a path such as C:\\fakepath\\1.png.
    """
    return BACKSLASH.sub(lambda match: match[1] or rb"\\", names.decode(line).encode())
