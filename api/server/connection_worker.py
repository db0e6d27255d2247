"""The main loop's side of gunicorn's threaded worker: connections, none of which it waits for.

gunicorn's own gives a connection a thread as soon as it is accepted, which then waits for the request,
without limit once its first byte came; and its main loop waits for each client that it closes. Here the main
loop reads each request ahead of time, and closes what is slow, silent or superfluous.
"""

import errno
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server.balance import YIELD_SECONDS, Balance
from api.server.connections import ClientSocket
from api.settings import load_settings

# A closed connection is read on for a while: a client that is still sending would see a reset, and not the
# answer.
LINGER_SECONDS, LINGER_BYTES = 5.0, 128 << 20
LOOK_SECONDS = 0.25


class ConnectionWorker(ThreadWorker):  # type: ignore[misc]
    """One process whose main loop reads requests; a subclass takes those that have come.

    loaded: whether its model is. idle: connections that have sent nothing of a request, in the order of their
    coming, and when each is closed. receiving: those that have sent a part. lingering: those that were
    answered and closed for sending, and when each is closed. drained: bytes that came from each since.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.settings = load_settings()
        self.loaded = False
        self.balance = Balance(self.age)
        self.idle: dict[TConn, float] = {}
        self.receiving: set[TConn] = set()
        self.lingering: dict[TConn, float] = {}
        self.drained: dict[TConn, int] = {}
        self.next_look = 0.0

    def take(self, conn: TConn) -> None:
        """A request has come, or as much of it as is read ahead."""
        raise NotImplementedError

    def release(self, conn: TConn) -> None:
        """What `take` began has ended."""
        raise NotImplementedError

    def look_after(self, now: float) -> None:
        """Called four times a second at most, after a round of events."""

    def _count(self, more: int) -> None:
        """There are so many connections more."""
        self.nr_conns += more
        if self.loaded:
            self.balance.publish(self.nr_conns)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections, or leave them to the other workers."""
        others = self.balance.yielding(time.monotonic()) if self.loaded else self.balance.fewest() is not None
        super().set_accept_enabled(enabled and not others)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One round of events, soon over if connections are left to others."""
        yielding = self.balance.yielding(time.monotonic())
        super().wait_for_and_dispatch_events(min(timeout, YIELD_SECONDS) if yielding else timeout)

    def accept(self, listener: Any) -> None:
        """Take a new connection; the oldest silent one makes room where there is none."""
        if not self.loaded:
            self.set_accept_enabled(True)  # by now another worker may be able to answer it
        elif not self.balance.accepts(self.nr_conns, time.monotonic()):
            self.set_accept_enabled(False)
        if not self._accepting:
            return
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.log.warning("no file descriptor is left for another connection")
                self._close_oldest_idle()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        self._count(1)
        sock = ClientSocket(accepted, self.settings.stall_seconds, self.settings.upload_seconds)
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.parser = http.get_parser(self.cfg, sock, address)
        self._listen(conn, self.settings.stall_seconds)
        if self.nr_conns >= self.worker_connections:
            self._close_oldest_idle()

    def _listen(self, conn: TConn, seconds: float) -> None:
        """Read the connection's next request, which has to begin within so many seconds."""
        if conn.sock.ahead:
            self.receiving.add(conn)
        else:
            self.idle[conn] = time.monotonic() + seconds
        self._watch(conn)
        if conn.sock.ahead and conn.sock.ready():
            self._hand_over(conn)

    def _watch(self, conn: TConn) -> None:
        if not conn.sock.watched:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_event, conn))
            conn.sock.watched = True

    def _unwatch(self, conn: TConn) -> None:
        if conn.sock.watched:
            self.poller.unregister(conn.sock)
            conn.sock.watched = False

    def _on_event(self, conn: TConn, _: Any) -> None:
        if conn in self.idle or conn in self.receiving:
            self._receive(conn)
        elif conn in self.lingering:
            self._drain(conn)
        else:  # a thread has it: it has to wait for its answer
            self._unwatch(conn)

    def _receive(self, conn: TConn) -> None:
        sock = conn.sock
        try:
            came = sock.receive()
        except OSError:
            came = False
        if not came:
            self._close(conn)
        elif sock.ready():
            self._hand_over(conn)
        elif self.idle.pop(conn, None) is not None:
            self.receiving.add(conn)

    def _hand_over(self, conn: TConn) -> None:
        self._forget(conn)
        self.take(conn)

    def finish_request(self, conn: TConn, future: Any) -> None:
        """A thread has answered: on to the connection's next request, or to its end."""
        self.release(conn)
        if not future.cancelled() and not future.exception() and future.result():
            conn.sock.next_request(conn.parser.unreader.take_buffered())
            self._listen(conn, self.cfg.keepalive)
        else:
            self._linger(conn)

    def _linger(self, conn: TConn) -> None:
        """Say that no more is sent, and read on for a while what the client still sends."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._watch(conn)
        except (OSError, ValueError, KeyError):
            self._close(conn)
            return
        self.lingering[conn] = time.monotonic() + LINGER_SECONDS
        self.drained[conn] = 0

    def _drain(self, conn: TConn) -> None:
        conn.sock.ahead.clear()
        try:
            open_ = conn.sock.receive()
        except OSError:
            open_ = False
        self.drained[conn] += len(conn.sock.ahead)
        if not open_ or self.drained[conn] > LINGER_BYTES:
            self._close(conn)

    def _forget(self, conn: TConn) -> None:
        self.idle.pop(conn, None)
        self.receiving.discard(conn)
        self.lingering.pop(conn, None)
        self.drained.pop(conn, None)

    def _close(self, conn: TConn) -> None:
        self._forget(conn)
        self._unwatch(conn)
        self._count(-1)
        conn.close()

    def _close_oldest_idle(self) -> None:
        if self.idle:
            self._close(next(iter(self.idle)))

    def murder_pending(self) -> None:
        """End what has waited for its client too long. Called after each round of events."""
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + LOOK_SECONDS
        for waiting in (self.idle, self.lingering):
            for conn in [conn for conn, until in waiting.items() if now > until]:
                self._close(conn)
        for conn in [conn for conn in self.receiving if conn.sock.too_slow(now)]:
            if conn.sock.head_complete:  # the application says what is wrong
                conn.sock.given_up = True
                conn.sock.whole = True
                self._hand_over(conn)
            else:
                self._close(conn)
        self.look_after(now)

    def murder_keepalived(self, force: bool = False) -> None:
        """With `force`, at the worker's end, close all that are silent."""
        for conn in list(self.idle) if force else ():
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        self.idle = {conn: min(until, deadline) for conn, until in self.idle.items()}
