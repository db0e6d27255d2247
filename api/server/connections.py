"""A client's connection: its request is read ahead of time, so that no thread has to wait for it."""

import re
import socket
import time
from contextlib import suppress

# Of a request's body so many bytes are read before a thread is given to it: most pictures fit whole.
AHEAD = 1 << 16
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?:\r\n|$)")
LAST_CHUNK = b"0\r\n\r\n"
HEAD = re.compile(rb"HTTP/1\.[01] ")


class ClientSocket(socket.socket):
    """A connected socket that gives what was read ahead of time first, and waits for nothing without limit.

    stall: seconds that a client may pause within a request, or take to read an answer. total: seconds that a
    request's upload may take.
    begun, progress: when the request's first and latest bytes came, by time.monotonic(); 0 where none did.
    head_complete: its headers have come. whole: so has all of its body. given_up: no more of it is waited
    for. refused: there is no thread for it. watched: the main loop is told when something comes.
    """

    def __init__(self, accepted: socket.socket, stall: float, total: float) -> None:
        super().__init__(fileno=accepted.detach())
        # Never to be waited on but within a limit. Each change of that is a call of the system's, and lets
        # another thread run: it is made where a client is slow, and for no other.
        self.setblocking(False)
        self.stall, self.total = stall, total
        self.watched = False
        self.ahead = bytearray()
        self._unsent = b""
        self.next_request()

    def next_request(self, ahead: bytes = b"") -> None:
        """Forget the request before. ahead: what came of the next one already."""
        self.ahead[:0] = ahead
        self.begun = self.progress = time.monotonic() if self.ahead else 0.0
        self.head_complete = self.whole = self.given_up = self.refused = False
        self._searched = 0
        self._wanted = 0
        self._chunked = self._fits = False

    def receive(self) -> bool:
        """Read ahead what is there, without waiting. False where the client has closed. Raises OSError."""
        try:
            data = super().recv(AHEAD)
        except BlockingIOError:
            return True
        self.progress = time.monotonic()
        self.begun = self.begun or self.progress
        self.ahead += data
        return bool(data)

    def ready(self) -> bool:
        """Whether enough has come for a thread to begin: all of the request, or of a long one its beginning.

        `whole` says which. It is an estimate that costs little; what gunicorn's parser makes of the bytes
        decides.
        """
        if not self.head_complete:
            end = self.ahead.find(b"\r\n\r\n", self._searched)
            if end < 0:
                self._searched = max(0, len(self.ahead) - 3)
                return len(self.ahead) >= AHEAD
            self._read_head(bytes(self.ahead[:end]).lower(), end + 4)
        enough = len(self.ahead) >= self._wanted
        self.whole = self.ahead.endswith(LAST_CHUNK) if self._chunked else enough and self._fits
        return self.whole or enough

    def _read_head(self, head: bytes, size: int) -> None:
        self.head_complete = True
        length = LENGTH.search(head)
        body = int(length[1]) if length else 0
        self._chunked = b"\r\ntransfer-encoding:" in head
        if self._chunked:
            self._wanted = size + AHEAD
        elif b"\r\nexpect:" in head and body:  # the client waits to be told to go on
            self._wanted = size
        else:
            self._wanted = size + min(body, AHEAD)
            self._fits = body <= AHEAD

    def too_slow(self, now: float) -> bool:
        """Whether a request that has begun to come has paused, or taken, too long."""
        return bool(self.begun) and (now > self.progress + self.stall or now > self.begun + self.total)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What was read ahead, or else what comes within the limits. Raises TimeoutError."""
        if self.ahead:
            data = bytes(self.ahead[:size])
            del self.ahead[:size]
            return data
        seconds = 0.0 if self.given_up else min(self.stall, self.begun + self.total - time.monotonic())
        if seconds <= 0:
            raise TimeoutError("the client took too long to send its request")
        self.settimeout(seconds)
        try:
            return super().recv(size, flags)
        finally:
            self.setblocking(False)

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        """All of it within `stall` seconds; a head is kept until its body comes, or `flush`. Raises
        TimeoutError."""
        if HEAD.match(data) and data.endswith(b"\r\n\r\n"):
            self._unsent += data
            return
        data, self._unsent = self._unsent + data, b""
        try:
            sent = self.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.settimeout(self.stall)
            try:
                super().sendall(memoryview(data)[sent:], flags)
            finally:
                self.setblocking(False)

    def flush(self) -> None:
        """Send what is kept."""
        if self._unsent:
            self.sendall(b"")

    def close(self) -> None:
        """Close it; while the main loop watches it, only end it, or its number could become another's."""
        if not self.watched:
            super().close()
        else:
            with suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)
