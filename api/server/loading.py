"""Loads the application, and the checkpoint anew after each SIGHUP, in a thread of the worker."""

import multiprocessing
import os
import queue
import signal
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.arbiter import Arbiter

from api.server.connection_worker import ConnectionWorker
from api.server.memory import freeze_objects

RETRY_SECONDS = 10.0
# Held by the first worker that failed to load its model, and by the first that loaded it: only that one logs.
_fork = multiprocessing.get_context("fork")
LOAD_FAILED, READY_LOGGED = _fork.Lock(), _fork.Lock()
# Held by the worker that reloads: one at a time, while the others have the processors for requests. Should it
# be killed meanwhile, the next one goes on after RELOAD_SECONDS.
RELOADING = _fork.Lock()
RELOAD_SECONDS = 30.0


def unknown(error: BaseException) -> BaseException | None:
    """The error, to log its traceback, unless its message says what to do."""
    known = isinstance(error, ValueError | OSError) or type(error).__name__ == "CheckpointError"
    return None if known else error


class LoadingWorker(ConnectionWorker):
    """A worker process that answers while it loads. application: what answers now.

    needs_trim: whether memory was freed that could be returned to the system.
    """

    application: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.needs_trim = False
        self.reloads: queue.SimpleQueue[None] = queue.SimpleQueue()  # its `put` may be called by a signal

    # A SIGHUP that comes before its handler is installed goes to that of the parent process, which was
    # inherited and does nothing here, and not to the default one, which would end the process.
    SIGNALS = tuple(number for number in ConnectionWorker.SIGNALS if number != signal.SIGHUP)

    def init_signals(self) -> None:
        """Install the handlers."""
        super().init_signals()
        signal.signal(signal.SIGHUP, self.handle_hup)
        signal.siginterrupt(signal.SIGHUP, False)

    def handle_hup(self, *_: Any) -> None:
        """Load the checkpoint anew, in the thread that has loaded it first."""
        self.reloads.put(None)

    def load(self, addresses: str) -> None:
        """Load the application, and then the checkpoint anew after each SIGHUP. addresses: for the log."""
        while not self._load_application():
            with suppress(queue.Empty):
                self.reloads.get(timeout=RETRY_SECONDS)
        service = self.application.extensions["cifake"]
        service.signal_workers = partial(os.kill, self.ppid, signal.SIGHUP)
        self.application.extensions["cifake-jobs"].runner.start()
        if READY_LOGGED.acquire(block=False):
            self.log.info("ready: %s, %s", addresses, service.predictor.info)
        while True:
            self.reloads.get()
            self._reload(service)

    def _load_application(self) -> bool:
        """Returns whether it is loaded. Ends the process, and with it the server, if nobody serves."""
        try:
            self.application = self.app.wsgi()
        except BaseException as error:
            traceback = unknown(error)
            if self.balancer.fewest_connections() is not None:
                self.log.error("a worker cannot start, the others go on: %s", error, exc_info=traceback)
            elif LOAD_FAILED.acquire(block=False):  # this exit code of one worker stops the server
                self.log.critical("the service cannot start: %s", error, exc_info=traceback)
                os._exit(Arbiter.WORKER_BOOT_ERROR)
            return False
        freeze_objects()
        self.loaded = self.needs_trim = True
        # At once, since workers that still load leave connections to this one from now on, whose /readyz may
        # be asked before its main loop gets on; and again from that, which counts them.
        self.balancer.publish(self.nr_conns)
        self.method_queue.defer(self._add_connections, 0)
        return True

    def _reload(self, service: Any) -> None:
        in_turn = RELOADING.acquire(timeout=RELOAD_SECONDS)
        try:
            before, after = service.reload()
        except Exception as error:
            self.log.error("the checkpoint is not reloaded: %s", error, exc_info=unknown(error))
            return
        finally:
            if in_turn:
                RELOADING.release()
        self.needs_trim = True
        if before == after:
            self.log.info("not reloaded: the checkpoint with the SHA-256 %s is being served", after)
        else:
            self.log.info("reloaded: %s, SHA-256 %s", service.predictor.info, after)
