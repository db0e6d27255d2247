"""gunicorn's threaded worker with in-flight limits, load shedding and separate threads for health checks.

A thread is assigned when the request, or 64 KiB of its body, is buffered (see api.server.connection_worker).
"""

import atexit
import os
import sys
import threading
import uuid
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from itertools import product
from typing import Any

from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.workers.gthread import TConn

from api.server.arbiter import is_draining
from api.server.connections import ClientSocket
from api.server.environ import DRAINING, FIRST_BYTE_AT, METRICS_LISTENER, REJECTED
from api.server.loading import LoadingWorker
from api.server.memory import trim
from api.server.refusals import refusal, refusal_record, refusal_response

HEALTH_PATHS = (b"/livez", b"/readyz", b"/v2/health/")
HEALTH_CHECKS = tuple(b"%s %s" % start for start in product((b"GET", b"HEAD"), HEALTH_PATHS))
SCRAPE = b"GET /metrics"
SAMPLE_SECONDS = 1.0
TRIM_SECONDS = 1.0
SWITCH_SECONDS = 0.001

Environ = dict[str, Any]


class Worker(LoadingWorker):
    """A worker process: its main loop, gunicorn's thread pool, and small pools for health checks and 429s.

    in_flight: connections whose request is running or waits for a thread. uploads: those of them whose body
    is still being received; they have a quarter of the threads as slots, so that slow ones cannot occupy all.
    queued_uploads: connections that wait for such a slot. slot: see api.monitoring.slots.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.in_flight: set[TConn] = set()
        self.uploads: set[TConn] = set()
        self.queued_uploads: deque[TConn] = deque()
        self.upload_slots = max(1, self.cfg.threads // 4)
        self.slot = 0
        self.next_trim = self.next_sample = 0.0

    # Start and stop

    def handle_exit(self, *arguments: Any) -> None:
        """SIGTERM: stop, while the service's own threads hand over what they work on."""
        if self.alive:
            self.method_queue.defer(self._stop_service)
        super().handle_exit(*arguments)

    def handle_quit(self, *_: Any) -> None:
        """SIGINT, SIGQUIT: stop at once.

        A signal interrupts the main loop anywhere, so that its handlers must not wait for locks. gunicorn's
        shuts the thread pool down, which waits forever for one that the main loop holds in `submit`.
        """
        os._exit(0)

    def _stop_service(self) -> None:
        if self.loaded:
            service = self.application.extensions["cifake"]
            # Not a daemon: the process ends after it, or when the parent kills it after CIFAKE_DRAIN_SECONDS.
            threading.Thread(target=service.stop, name="stop").start()

    def run(self) -> None:
        """The main loop, until the worker is to exit."""
        super().run()
        # Called once all threads but daemons have ended. The interpreter would now end those too, which
        # aborts the process if one is in C++, as the one that compiles a reloaded network is.
        atexit.register(os._exit, 0)

    def load_wsgi(self) -> None:
        """Load the application in a thread; answer 503 until it is ready."""
        # The main loop needs the GIL for each request, and would wait this long for each busy thread.
        sys.setswitchinterval(SWITCH_SECONDS)
        from api.app import create_starting_app
        from api.monitoring.metrics import ProcessMetrics, count_request

        self.health_pool, self.rejection_pool = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
        self.metrics, self.metrics_pool = ProcessMetrics(self.slot), ThreadPoolExecutor(1)
        self.count_request = count_request
        self.application = create_starting_app()
        self.wsgi = self._call_application
        addresses = " and ".join(map(str, self.sockets))  # here, since the main loop closes the sockets
        threading.Thread(target=self.load, args=(addresses,), name="load", daemon=True).start()

    # Called in the main loop: must not block

    def schedule(self, conn: TConn) -> None:
        """Submit the request to a thread pool, or queue it for an upload slot."""
        if conn.sock.read_buffer.startswith(HEALTH_CHECKS):
            self._submit(self.health_pool, conn)
        elif conn.sock.read_buffer.startswith(SCRAPE):
            self._submit(self.metrics_pool, conn)
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
        if now > self.next_sample:
            self.next_sample = now + SAMPLE_SECONDS
            self._sample()
        oldest = now - self.settings.deadline_seconds
        while self.queued_uploads and self.queued_uploads[0].sock.first_byte_at < oldest:
            self._reject(self.queued_uploads.popleft())

    def _sample(self) -> None:
        """Publish the metrics of this process."""
        queued = self.application.extensions["cifake"].batcher.queued_items if self.loaded else 0
        self.metrics.sample(len(self.in_flight), self.nr_conns, queued, self.loaded)

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
        request, answered = None, False
        try:
            request = next(conn.parser)
            if is_draining():
                request.force_close()
            keep_alive = self.handle_request(request, conn)
            conn.sock.flush()
            answered = True
            conn.sock.read_aborted = True  # do not wait for the rest of a body that was not read
            return self._keepalive_after(conn, keep_alive)
        except (NoMoreData, StopIteration, OSError) as error:
            self.log.debug("the client is gone or too slow: %s", error)
        except Exception as error:
            if answered and isinstance(error, ParseException):
                self.log.debug("the rest of the body is malformed: %s", error)
            else:
                self.handle_error(request, conn.sock, conn.client, error)
        return False

    def handle_error(self, request: Any, sock: ClientSocket, client: Any, error: Exception) -> None:
        """Answer an error that the application does not see, count it, and log it with the answer's id."""
        status, detail = refusal(error)
        request_id = str(uuid.uuid4())
        address = client[0] if client else "-"  # empty for a Unix socket
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.error("request %s of %s failed: %s", request_id, address, error, exc_info=error)
        else:
            self.log.warning("request %s of %s refused, %d: %s", request_id, address, status, detail)
        if not sock.reached_application:
            self.count_request(refusal_record(status, request_id, sock.first_byte_at))
        with suppress(OSError):
            sock.sendall(refusal_response(status, detail, request_id))

    def _call_application(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        sock: ClientSocket = environ["gunicorn.socket"]
        sock.reached_application = True
        body = environ["wsgi.input"]
        environ[FIRST_BYTE_AT] = sock.first_byte_at
        if is_draining():
            environ[DRAINING] = True
        if sock.rejected:
            environ[REJECTED] = True
        if self.metrics_listener:
            environ[METRICS_LISTENER] = sock.for_metrics
        response: Iterable[bytes] = self.application(environ, start_response)
        if body.failed:  # malformed or stalled: the next request's start is unknown
            start_response.__self__.force_close()  # of gunicorn's response, which is not sent yet
        return response
