"""gunicorn's threaded worker, made proof against clients that are slow, silent or many.

A thread gets a request when all of it, or 64 KiB of its body, has come (see api.server.connection_worker).
Health checks and refusals have threads of their own, and long uploads a part of them.
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
from api.server.environ import BEGUN, REFUSED
from api.server.memory import trim

HEALTH = (b"GET /livez", b"GET /readyz", b"HEAD /livez", b"HEAD /readyz")
TRIM_SECONDS = 1.0
SWITCH_SECONDS = 0.001
# Held by the first worker that could not load its model, and by the first that could: one of them says so.
_fork = multiprocessing.get_context("fork")
FAILED, ANNOUNCED = _fork.Lock(), _fork.Lock()

Environ = dict[str, Any]


class Worker(ConnectionWorker):
    """One process: its main loop, a pool of threads for pictures, and a small one each for health and
    refusals.

    working: connections whose requests pictures' threads have, or will have. uploads: those of them that a
    thread waits for, a quarter of the threads at most, so that slow ones leave the others free.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.working: set[TConn] = set()
        self.uploads: set[TConn] = set()
        self.uploads_waiting: deque[TConn] = deque()
        self.most_uploads = max(1, self.cfg.threads // 4)
        self.worked = False  # since memory was last given back
        self.next_trim = 0.0

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
            self.application = application = self.app.wsgi()
        except BaseException as error:
            if FAILED.acquire(block=False):  # one is enough to stop the server
                known = isinstance(error, ValueError | OSError) or type(error).__name__ == "CheckpointError"
                self.log.critical("the service cannot start: %s", error, exc_info=None if known else error)
                os._exit(Arbiter.WORKER_BOOT_ERROR)
            return
        self.loaded = True
        self.method_queue.defer(self._count, 0)  # in the main loop, which wakes
        if ANNOUNCED.acquire(block=False):
            addresses = " and ".join(map(str, self.sockets))
            self.log.info("ready: %s, %s", addresses, application.extensions["cifake"].predictor.info)

    @staticmethod
    def forget(worker: "Worker") -> None:
        """A worker has ended; called in the parent."""
        worker.balance.withdraw()

    # The main loop's side: nothing here waits

    def take(self, conn: TConn) -> None:
        """To a thread, or to the queue of long uploads."""
        if conn.sock.ahead.startswith(HEALTH):
            self._submit(self.health_pool, conn)
        elif len(self.working) >= self.cfg.threads + self.settings.queue_size:
            self._refuse(conn)
        elif conn.sock.whole:
            self._work(conn)
        else:
            self.uploads_waiting.append(conn)
            self._begin_uploads()

    def release(self, conn: TConn) -> None:
        """A thread has answered the request."""
        self.working.discard(conn)
        if conn in self.uploads:
            self.uploads.remove(conn)
            self._begin_uploads()

    def look_after(self, now: float) -> None:
        """Give memory back while idle, and refuse uploads that have waited too long for a thread."""
        if self.worked and not self.working and now > self.next_trim:
            self.worked, self.next_trim = False, now + TRIM_SECONDS
            trim()
        deadline = now - self.settings.deadline_seconds
        while self.uploads_waiting and self.uploads_waiting[0].sock.begun < deadline:
            self._refuse(self.uploads_waiting.popleft())

    def _begin_uploads(self) -> None:
        while self.uploads_waiting and len(self.uploads) < self.most_uploads:
            conn = self.uploads_waiting.popleft()
            self.uploads.add(conn)
            self._work(conn)

    def _work(self, conn: TConn) -> None:
        self.working.add(conn)
        self.worked = True
        self._submit(self.tpool, conn)

    def _refuse(self, conn: TConn) -> None:
        conn.sock.refused = True
        self._submit(self.refusal_pool, conn)

    def _submit(self, pool: ThreadPoolExecutor, conn: TConn) -> None:
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

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
