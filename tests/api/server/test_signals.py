"""Signals interrupt the main loop anywhere, also while it holds locks: no handler may wait for one."""

import subprocess
import sys

import pytest

from model import ROOT

# The locks of the thread pools, and of the queue of what threads ask the main loop to do, are held by the
# main thread, as they are for a moment whenever it hands a request on.
SCRIPT = """
import os, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from gunicorn.config import Config
from gunicorn.workers.gthread import PollableMethodQueue
from queue import SimpleQueue
from api.server.worker import Worker

worker = Worker.__new__(Worker)
worker.alive, worker.loaded, worker.cfg = True, False, Config()
worker.reloads = SimpleQueue()
worker.method_queue = PollableMethodQueue()
worker.method_queue.init()
for name in ("tpool", "health_pool", "rejection_pool", "metrics_pool"):
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()
    pool._shutdown_lock.acquire()
    setattr(worker, name, pool)
handlers = {"SIGTERM": worker.handle_exit, "SIGHUP": worker.handle_hup}
number = signal.Signals[sys.argv[1]]
signal.signal(number, handlers.get(sys.argv[1], worker.handle_quit))
os.kill(os.getpid(), number)
print("handled", worker.alive, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("name", "printed"),
    [("SIGQUIT", ""), ("SIGINT", ""), ("SIGTERM", "handled False\n"), ("SIGHUP", "handled True\n")],
)
def test_handlers_wait_for_no_lock(name: str, printed: str) -> None:
    """SIGQUIT and SIGINT end the process at once; what was being done is not waited for."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)
