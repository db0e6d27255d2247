"""The main loop of the worker: accepts connections and buffers requests without blocking.

gunicorn's threaded worker assigns a thread when a connection is accepted; the thread then waits for the
request, without a timeout after its first byte, and the main loop blocks while it closes a connection. Here
the main loop reads each request ahead, and closes connections that are slow, idle or over the limit.
"""

import errno
import selectors
import socket
import time
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server.balance import YIELD_SECONDS, ConnectionBalancer
from api.server.connections import ClientSocket
from api.settings import load_settings

# Lingering close: after the response, input is read and discarded up to these limits. Closing at once while
# the client still sends would reset the connection, and the client could lose the response.
LINGER_SECONDS, LINGER_BYTES = 5.0, 128 << 20
SWEEP_SECONDS = 0.25


class ConnectionWorker(ThreadWorker):  # type: ignore[misc]
    """A worker process whose main loop buffers requests; a subclass schedules them on threads.

    loaded: whether the model is loaded. idle: connections without a byte of a request, oldest first, and the
    deadline of each. receiving: connections with a partly received request. lingering: connections in
    lingering close, and the deadline of each. drained: bytes discarded from each of those. open_listeners:
    sockets that accept connections until the worker is told to stop.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.settings = load_settings()
        self.loaded = False
        self.balancer = ConnectionBalancer(self.age)
        self.idle: dict[TConn, float] = {}
        self.receiving: set[TConn] = set()
        self.lingering: dict[TConn, float] = {}
        self.drained: dict[TConn, int] = {}
        self.next_sweep = 0.0
        self.open_listeners = list(self.sockets)

    @property
    def metrics_listener(self) -> Any:
        """The listening socket of CIFAKE_METRICS_BIND, the last of several; None without it."""
        separate = self.settings.metrics_bind != "same" and len(self.sockets) > 1
        return self.sockets[-1] if separate else None

    def schedule(self, conn: TConn) -> None:
        """Assign a thread to the connection's buffered request."""
        raise NotImplementedError

    def request_finished(self, conn: TConn) -> None:
        """Free what `schedule` reserved for the request."""
        raise NotImplementedError

    def run_periodic_tasks(self, now: float) -> None:
        """Called after a round of events, at most every SWEEP_SECONDS."""

    def _add_connections(self, number: int) -> None:
        self.nr_conns += number
        if self.loaded:
            self.balancer.publish(self.nr_conns)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept connections, unless they are left to other workers or this one is to stop."""
        if not self.alive:
            self._close_listeners()
            return
        left_to_others = self.balancer.is_yielding(time.monotonic()) if self.loaded else self._others_serve()
        super().set_accept_enabled(enabled and not left_to_others)

    def _others_serve(self) -> bool:
        """Whether the model of another worker is loaded, while this one's is not."""
        return not self.loaded and self.balancer.fewest_connections() is not None

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Run one round of events, with a short timeout while yielding."""
        yielding = self.balancer.is_yielding(time.monotonic())
        super().wait_for_and_dispatch_events(min(timeout, YIELD_SECONDS) if yielding else timeout)

    def accept(self, listener: Any) -> None:
        """Accept a connection; close the oldest idle one at the connection limit."""
        if not self.loaded:
            self.set_accept_enabled(True)  # another worker may have become ready meanwhile
        elif not self.balancer.should_accept(self.nr_conns, time.monotonic()):
            self.set_accept_enabled(False)
        if self._accepting:
            self._accept(listener)

    def _accept(self, listener: Any) -> bool:
        """Accept a connection. Returns whether there was one."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.log.warning("no file descriptor is left for another connection")
                self._close_oldest_idle()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return False
        self._add_connections(1)
        sock = ClientSocket(accepted, self.settings.stall_seconds, self.settings.upload_seconds)
        sock.for_metrics = listener is self.metrics_listener
        conn = TConn(self.cfg, sock, address, listener.getsockname())
        conn.parser = http.get_parser(self.cfg, sock, address)
        self._await_request(conn, self.settings.stall_seconds)
        if self.nr_conns >= self.worker_connections:
            self._close_oldest_idle()
        return True

    def _close_listeners(self) -> None:
        """Accept what connections the system has queued for this worker, and let it refuse those to come.

        If the sockets stayed open until the last response, later clients would wait for it, and be reset.
        Called more than once when the worker is told to stop before or while it enables accepting.
        """
        super().set_accept_enabled(False)
        while self.open_listeners:
            listener = self.open_listeners.pop()
            if not self._others_serve():
                while self.nr_conns < self.worker_connections and self._accept(listener):
                    pass
            listener.close()

    def _await_request(self, conn: TConn, timeout: float) -> None:
        """Read the connection's next request, which must start within `timeout` seconds."""
        if conn.sock.read_buffer:
            self.receiving.add(conn)
        else:
            self.idle[conn] = time.monotonic() + timeout
        self._register(conn)
        if conn.sock.read_buffer and conn.sock.ready():
            self._dispatch(conn)

    def _register(self, conn: TConn) -> None:
        if not conn.sock.registered:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_readable, conn))
            conn.sock.registered = True

    def _unregister(self, conn: TConn) -> None:
        if conn.sock.registered:
            self.poller.unregister(conn.sock)
            conn.sock.registered = False

    def _on_readable(self, conn: TConn, _: Any) -> None:
        if conn in self.idle or conn in self.receiving:
            self._receive(conn)
        elif conn in self.lingering:
            self._drain(conn)
        else:  # a thread handles the request: its socket is not polled until the response is sent
            self._unregister(conn)

    def _receive(self, conn: TConn) -> None:
        sock = conn.sock
        try:
            is_open = sock.receive()
        except OSError:
            is_open = False
        if not is_open:
            self._close(conn)
        elif sock.ready():
            self._dispatch(conn)
        elif self.idle.pop(conn, None) is not None:
            self.receiving.add(conn)

    def _dispatch(self, conn: TConn) -> None:
        self._untrack(conn)
        self.schedule(conn)

    def finish_request(self, conn: TConn, future: Any) -> None:
        """A thread has finished: keep the connection alive for its next request, or close it."""
        self.request_finished(conn)
        if not future.cancelled() and not future.exception() and future.result():
            conn.sock.next_request(conn.parser.unreader.take_buffered())
            self._await_request(conn, self.cfg.keepalive)
        else:
            self._linger(conn)

    def _linger(self, conn: TConn) -> None:
        """Start a lingering close: shut down sending, and discard what the client still sends."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            self._register(conn)
        except (OSError, ValueError, KeyError):
            self._close(conn)
            return
        self.lingering[conn] = time.monotonic() + LINGER_SECONDS
        self.drained[conn] = 0

    def _drain(self, conn: TConn) -> None:
        conn.sock.read_buffer.clear()
        try:
            is_open = conn.sock.receive()
        except OSError:
            is_open = False
        self.drained[conn] += len(conn.sock.read_buffer)
        if not is_open or self.drained[conn] > LINGER_BYTES:
            self._close(conn)

    def _untrack(self, conn: TConn) -> None:
        self.idle.pop(conn, None)
        self.receiving.discard(conn)
        self.lingering.pop(conn, None)
        self.drained.pop(conn, None)

    def _close(self, conn: TConn) -> None:
        self._untrack(conn)
        self._unregister(conn)
        self._add_connections(-1)
        conn.close()

    def _close_oldest_idle(self) -> None:
        if self.idle:
            self._close(next(iter(self.idle)))

    def murder_pending(self) -> None:
        """Close connections past their deadline. gunicorn calls it after each round of events."""
        now = time.monotonic()
        if now < self.next_sweep:
            return
        self.next_sweep = now + SWEEP_SECONDS
        for deadlines in (self.idle, self.lingering):
            for conn in [conn for conn, deadline in deadlines.items() if now > deadline]:
                self._close(conn)
        for conn in [conn for conn in self.receiving if conn.sock.too_slow(now)]:
            if conn.sock.headers_complete:  # the application answers with an error, such as 408
                conn.sock.read_aborted = True
                conn.sock.message_complete = True
                self._dispatch(conn)
            else:
                self._close(conn)
        self.run_periodic_tasks(now)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all idle connections if `force`, which gunicorn sets when the worker exits."""
        for conn in list(self.idle) if force else ():
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        self.idle = {conn: min(until, deadline) for conn, until in self.idle.items()}
