"""A client socket with a read-ahead buffer, so that no thread waits for a slow request."""

import re
import socket
import time
from contextlib import suppress

# Bytes of a request body that are buffered before a thread is assigned; most pictures are smaller.
READ_AHEAD_BYTES = 1 << 16
# Bytes that gunicorn gets at once: it copies all that it holds at each read of the application.
RECEIVE_BYTES = 1 << 17
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?:\r\n|$)")
LAST_CHUNK = b"0\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ")


class ClientSocket(socket.socket):
    """A connected socket whose `recv` returns buffered bytes first, and whose every wait has a timeout.

    stall_timeout: seconds that a client may pause within a request, or take to read a response.
    upload_timeout: seconds that the upload of a request may take.
    first_byte_at, last_byte_at: when the first and latest bytes of the request arrived, by time.monotonic();
    0 if none has. headers_complete, message_complete: whether all headers, and all of the body, are buffered.
    read_aborted: `recv` raises TimeoutError instead of waiting. rejected: the request is to be answered
    with 429. reached_application: the application was called, which counts what it answers. registered: the
    socket is registered with the main loop's selector. for_metrics: it was accepted at CIFAKE_METRICS_BIND.
    """

    def __init__(self, accepted: socket.socket, stall_timeout: float, upload_timeout: float) -> None:
        super().__init__(fileno=accepted.detach())
        # Non-blocking except while a slow client is waited for: changing the timeout is a system call that
        # releases the GIL, so it is avoided for fast clients.
        self.setblocking(False)
        self.stall_timeout, self.upload_timeout = stall_timeout, upload_timeout
        self.registered = self.for_metrics = False
        self.read_buffer = bytearray()
        self._send_buffer = b""
        self.next_request()

    def next_request(self, buffered: bytes = b"") -> None:
        """Reset the state for the connection's next request. buffered: bytes of it that were read already."""
        self.read_buffer[:0] = buffered
        self.first_byte_at = self.last_byte_at = time.monotonic() if self.read_buffer else 0.0
        self.headers_complete = self.message_complete = self.read_aborted = self.rejected = False
        self.reached_application = False
        self._search_start = 0
        self._dispatch_size = 0
        self._chunked = self._body_fits = False

    def receive(self) -> bool:
        """Buffer available bytes without waiting. False if the client has disconnected. Raises OSError."""
        try:
            data = super().recv(READ_AHEAD_BYTES)
        except BlockingIOError:
            return True
        self.last_byte_at = time.monotonic()
        self.first_byte_at = self.first_byte_at or self.last_byte_at
        self.read_buffer += data
        return bool(data)

    def ready(self) -> bool:
        """Whether a thread can start: all of the request is buffered, or READ_AHEAD_BYTES of a long body.

        Sets `message_complete`. This is a cheap estimate: gunicorn's parser decides what the bytes mean.
        """
        if not self.headers_complete:
            end = self.read_buffer.find(b"\r\n\r\n", self._search_start)
            if end < 0:
                self._search_start = max(0, len(self.read_buffer) - 3)
                return len(self.read_buffer) >= READ_AHEAD_BYTES
            self._parse_headers(bytes(self.read_buffer[:end]).lower(), end + 4)
        enough = len(self.read_buffer) >= self._dispatch_size
        if self._chunked:
            self.message_complete = self.read_buffer.endswith(LAST_CHUNK)
        else:
            self.message_complete = enough and self._body_fits
        return self.message_complete or enough

    def _parse_headers(self, headers: bytes, size: int) -> None:
        self.headers_complete = True
        length = CONTENT_LENGTH.search(headers)
        body = int(length[1]) if length else 0
        self._chunked = b"\r\ntransfer-encoding:" in headers
        if self._chunked:
            self._dispatch_size = size + READ_AHEAD_BYTES
        elif b"\r\nexpect:" in headers and body:  # the client waits for 100 Continue
            self._dispatch_size = size
        else:
            self._dispatch_size = size + min(body, READ_AHEAD_BYTES)
            self._body_fits = body <= READ_AHEAD_BYTES

    def too_slow(self, now: float) -> bool:
        """Whether a started request has exceeded the stall or the upload timeout."""
        return bool(self.first_byte_at) and (
            now > self.last_byte_at + self.stall_timeout or now > self.first_byte_at + self.upload_timeout
        )

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Buffered bytes, or else bytes from the client within the timeouts. Raises TimeoutError."""
        if self.read_buffer:
            data = bytes(self.read_buffer[:size])
            del self.read_buffer[:size]
            return data
        remaining = self.first_byte_at + self.upload_timeout - time.monotonic()
        timeout = 0.0 if self.read_aborted else min(self.stall_timeout, remaining)
        if timeout <= 0:
            raise TimeoutError("the client took too long to send its request")
        self.settimeout(timeout)
        try:
            return super().recv(min(size, RECEIVE_BYTES), flags)
        finally:
            self.setblocking(False)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """Send all within `stall_timeout`, else raise TimeoutError.

        Response headers are held back until the body or `flush`, so that one `send` takes both.
        """
        if STATUS_LINE.match(data) and data.endswith(b"\r\n\r\n"):
            self._send_buffer += data
            return
        data, self._send_buffer = self._send_buffer + data, b""
        try:
            sent = self.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.settimeout(self.stall_timeout)
            try:
                super().sendall(memoryview(data)[sent:], flags)
            finally:
                self.setblocking(False)

    def flush(self) -> None:
        """Send response headers that were held back."""
        if self._send_buffer:
            self.sendall(b"")

    def close(self) -> None:
        """Close the socket; while it is registered only shut it down, so that its number is not reused."""
        if not self.registered:
            super().close()
        else:
            with suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)
