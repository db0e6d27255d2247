"""gunicorn's threaded worker with in-flight limits, load shedding and separate threads for health checks.

A thread is assigned when the request, or 64 KiB of its body, is buffered (see api.server.connection_worker).
"""

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn import http
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import TConn

from api.server.connection_worker import ConnectionWorker
from api.server.connections import ClientSocket
from api.server.environ import FIRST_BYTE_AT, REJECTED
from api.server.memory import trim

HEALTH_CHECKS = (b"GET /livez", b"GET /readyz", b"HEAD /livez", b"HEAD /readyz")
TRIM_SECONDS = 1.0
SWITCH_SECONDS = 0.001
# Held by the first worker that failed to load its model, and by the first that loaded it: only that one logs.
_fork = multiprocessing.get_context("fork")
LOAD_FAILED, READY_LOGGED = _fork.Lock(), _fork.Lock()

Environ = dict[str, Any]


class Worker(ConnectionWorker):
    """A worker process: its main loop, gunicorn's thread pool, and small pools for health checks and 429s.

    in_flight: connections whose request is running or waits for a thread. uploads: those of them whose body
    is still being received; they have a quarter of the threads as slots, so that slow ones cannot occupy all.
    queued_uploads: connections that wait for such a slot.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.in_flight: set[TConn] = set()
        self.uploads: set[TConn] = set()
        self.queued_uploads: deque[TConn] = deque()
        self.upload_slots = max(1, self.cfg.threads // 4)
        self.needs_trim = False
        self.next_trim = 0.0

    # Loading

    def load_wsgi(self) -> None:
        """Load the application in a thread; answer 503 until it is ready."""
        # The main loop needs the GIL for each request, and would wait this long for each busy thread.
        sys.setswitchinterval(SWITCH_SECONDS)
        from api.app import create_starting_app

        self.health_pool, self.rejection_pool = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
        self.application: Callable[..., Iterable[bytes]] = create_starting_app()
        self.wsgi = self._call_application
        threading.Thread(target=self._load, name="load", daemon=True).start()

    def _load(self) -> None:
        try:
            self.application = application = self.app.wsgi()
        except BaseException as error:
            if LOAD_FAILED.acquire(block=False):  # this exit code of one worker stops the server
                known = isinstance(error, ValueError | OSError) or type(error).__name__ == "CheckpointError"
                self.log.critical("the service cannot start: %s", error, exc_info=None if known else error)
                os._exit(Arbiter.WORKER_BOOT_ERROR)
            return
        self.loaded = self.needs_trim = True
        self.method_queue.defer(self._add_connections, 0)  # publishes the count from the main loop
        if READY_LOGGED.acquire(block=False):
            addresses = " and ".join(map(str, self.sockets))
            self.log.info("ready: %s, %s", addresses, application.extensions["cifake"].predictor.info)

    # Called in the main loop: must not block

    def schedule(self, conn: TConn) -> None:
        """Submit the request to a thread pool, or queue it for an upload slot."""
        if conn.sock.read_buffer.startswith(HEALTH_CHECKS):
            self._submit(self.health_pool, conn)
        elif len(self.in_flight) >= self.cfg.threads + self.settings.queue_size:
            self._reject(conn)
        elif conn.sock.message_complete:
            self._start(conn)
        else:
            self.queued_uploads.append(conn)
            self._start_uploads()

    def request_finished(self, conn: TConn) -> None:
        """Remove the request from those in flight, and reuse its upload slot."""
        self.in_flight.discard(conn)
        if conn in self.uploads:
            self.uploads.remove(conn)
            self._start_uploads()

    def run_periodic_tasks(self, now: float) -> None:
        """Return freed memory while idle, and reject uploads that waited for a slot past their deadline."""
        if self.needs_trim and not self.in_flight and now > self.next_trim:
            self.needs_trim, self.next_trim = False, now + TRIM_SECONDS
            trim()
        oldest = now - self.settings.deadline_seconds
        while self.queued_uploads and self.queued_uploads[0].sock.first_byte_at < oldest:
            self._reject(self.queued_uploads.popleft())

    def _start_uploads(self) -> None:
        while self.queued_uploads and len(self.uploads) < self.upload_slots:
            conn = self.queued_uploads.popleft()
            self.uploads.add(conn)
            self._start(conn)

    def _start(self, conn: TConn) -> None:
        self.in_flight.add(conn)
        self.needs_trim = True
        self._submit(self.tpool, conn)

    def _reject(self, conn: TConn) -> None:
        conn.sock.rejected = True
        self._submit(self.rejection_pool, conn)

    def _submit(self, pool: ThreadPoolExecutor, conn: TConn) -> None:
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    # Called in a thread of a pool

    def handle(self, conn: TConn) -> bool:
        """Answer one request. Returns whether the connection is kept alive."""
        request = None
        try:
            request = next(conn.parser)
            keep_alive = self.handle_request(request, conn)
            conn.sock.flush()
            conn.sock.read_aborted = True  # do not wait for the rest of a body that was not read
            return self._keepalive_after(conn, keep_alive)
        except (http.errors.NoMoreData, StopIteration, OSError) as error:
            self.log.debug("the client is gone or too slow: %s", error)
        except Exception as error:
            self.handle_error(request, conn.sock, conn.client, error)
        return False

    def _call_application(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        sock: ClientSocket = environ["gunicorn.socket"]
        environ[FIRST_BYTE_AT] = sock.first_byte_at
        if sock.rejected:
            environ[REJECTED] = True
        return self.application(environ, start_response)
