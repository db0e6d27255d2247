"""gunicorn's threaded worker, made proof against clients that are slow, silent or many.

gunicorn's own gives a connection a thread as soon as it is accepted, which then waits for the request,
without limit once its first byte came; and its main loop waits for each client that it closes. Here the main
loop reads each request ahead of time and never waits; a thread gets it when all of it, or 64 KiB of its body,
has come.
"""

import errno
import multiprocessing
import os
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn import http
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import TConn, ThreadWorker

from api.server.balance import YIELD_SECONDS, Balance
from api.server.connections import ClientSocket
from api.server.environ import BEGUN, REFUSED
from api.server.memory import trim
from api.settings import load_settings

HEALTH = (b"GET /livez", b"GET /readyz", b"HEAD /livez", b"HEAD /readyz")
# A closed connection is read on for a while: a client that is still sending would see a reset, and not the
# answer.
LINGER_SECONDS, LINGER_BYTES = 5.0, 128 << 20
LOOK_SECONDS = 0.25
TRIM_SECONDS = 1.0
SWITCH_SECONDS = 0.001
# Held by the first worker that could not load it.
FAILED = multiprocessing.get_context("fork").Lock()

Environ = dict[str, Any]


class Worker(ThreadWorker):  # type: ignore[misc]
    """One process: its main loop, a pool of threads for pictures, and a small one each for health and
    refusals."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.settings = load_settings()
        self.loaded = False
        self.balance = Balance(self.age)
        self.idle: dict[TConn, float] = {}  # in the order of their coming, when each is closed
        self.receiving: set[TConn] = set()
        self.lingering: dict[TConn, float] = {}
        self.drained: dict[TConn, int] = {}
        # Requests whose rest a thread would have to wait for get some of the threads, so that slow ones
        # leave the others free.
        self.uploads = 0
        self.most_uploads = max(1, self.cfg.threads // 4)
        self.uploads_waiting: deque[TConn] = deque()
        self.in_flight = 0
        self.next_look = self.next_trim = 0.0
        self.worked = False

    # Loading

    def load_wsgi(self) -> None:
        """Answer 503 from now on, and load the application meanwhile."""
        # The main loop needs the interpreter's lock for each request, and waits so long for it among threads.
        sys.setswitchinterval(SWITCH_SECONDS)
        from api.app import create_starting_app

        self.health_pool, self.refusal_pool = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
        self.application: Callable[..., Iterable[bytes]] = create_starting_app()
        self.wsgi = self._call
        threading.Thread(target=self._load, name="load", daemon=True).start()

    def _load(self) -> None:
        try:
            self.application = self.app.wsgi()
        except BaseException as error:
            if FAILED.acquire(block=False):  # one is enough to stop the server
                known = isinstance(error, ValueError | OSError) or type(error).__name__ == "CheckpointError"
                self.log.critical("the service cannot start: %s", error, exc_info=None if known else error)
                os._exit(Arbiter.WORKER_BOOT_ERROR)
            return
        self.loaded = True
        self.method_queue.defer(self._count, 0)  # in the main loop, which wakes

    @staticmethod
    def forget(worker: "Worker") -> None:
        """A worker has ended; called in the parent."""
        worker.balance.withdraw()

    # The main loop's side: nothing here waits

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
        """To a thread, or to the queue of long uploads."""
        self._forget(conn)
        if conn.sock.ahead.startswith(HEALTH):
            self._submit(self.health_pool, conn)
        elif self.in_flight >= self.cfg.threads + self.settings.queue_size:
            self._refuse(conn)
        elif conn.sock.whole:
            self._work(conn)
        elif self.uploads < self.most_uploads:
            self._upload(conn)
        else:
            self.uploads_waiting.append(conn)

    def _work(self, conn: TConn) -> None:
        self.in_flight += 1
        self.worked = True
        conn.release = self._release_work
        self._submit(self.tpool, conn)

    def _upload(self, conn: TConn) -> None:
        self.uploads += 1
        self.in_flight += 1
        self.worked = True
        conn.release = self._release_upload
        self._submit(self.tpool, conn)

    def _refuse(self, conn: TConn) -> None:
        conn.sock.refused = True
        self._submit(self.refusal_pool, conn)

    def _release_work(self) -> None:
        self.in_flight -= 1

    def _release_upload(self) -> None:
        self.in_flight -= 1
        self.uploads -= 1
        if self.uploads_waiting:
            self._upload(self.uploads_waiting.popleft())

    def _submit(self, pool: ThreadPoolExecutor, conn: TConn) -> None:
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def finish_request(self, conn: TConn, future: "Future[bool]") -> None:
        """A thread has answered: on to the connection's next request, or to its end."""
        release = conn.__dict__.pop("release", None)
        if release:
            release()
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
        """End what has waited for its client, or for its turn, too long. Called after each round of
        events."""
        now = time.monotonic()
        if now < self.next_look:
            return
        self.next_look = now + LOOK_SECONDS
        if self.worked and not self.in_flight and now > self.next_trim:
            self.worked, self.next_trim = False, now + TRIM_SECONDS
            trim()
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
        while (
            self.uploads_waiting and now > self.uploads_waiting[0].sock.begun + self.settings.deadline_seconds
        ):
            self._refuse(self.uploads_waiting.popleft())

    def murder_keepalived(self, force: bool = False) -> None:
        """With `force`, at the worker's end, close all that are silent."""
        for conn in list(self.idle) if force else ():
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        self.idle = {conn: min(until, deadline) for conn, until in self.idle.items()}

    # A thread's side

    def handle(self, conn: TConn) -> bool:
        """Answer one request; whether the connection may be used for another."""
        request = None
        try:
            request = next(conn.parser)
            answered = self.handle_request(request, conn)
            conn.sock.flush()
            conn.sock.given_up = True  # what has not come of a body that was not read is not waited for
            return self._keepalive_after(conn, answered)
        except (http.errors.NoMoreData, StopIteration, OSError) as error:
            self.log.debug("the client is gone or too slow: %s", error)
        except Exception as error:
            self.handle_error(request, conn.sock, conn.client, error)
        return False

    def _call(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        sock: ClientSocket = environ["gunicorn.socket"]
        environ[BEGUN] = sock.begun
        if sock.refused:
            environ[REFUSED] = True
        return self.application(environ, start_response)
