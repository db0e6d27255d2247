"""gunicorn's configuration: `gunicorn -c api/gunicorn.conf.py "api.app:create_app()"`."""

import errno
import os
import resource
import socket
import sys
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.util import parse_address
from gunicorn.workers.base import Worker as BaseWorker

from api.server.memory import return_freed_memory
from api.server.worker import Worker
from api.settings import SettingsError, load_settings, unknown_variables
from model.engines.cpus import available_cpus, memory_limit, runs_on_cpu

# Peak of a worker that has drawn heat maps while it decodes pictures of 25 megapixels.
WORKER_BYTES = 560 << 20

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(f"error: {error}")

bind = settings.bind
# Per picture, Python takes as much CPU time as the engine, and one process runs Python on one core.
workers = settings.workers
if not workers:
    most = min(available_cpus(), memory_limit() / WORKER_BYTES)
    workers = max(1, int(most)) if runs_on_cpu(settings.device) else 1
threads = settings.threads
worker_class = Worker
# Each worker loads the model: torch's threads do not survive a fork.
preload_app = False
# Each connection needs a file descriptor; reserve some for temporary files, sockets and libraries.
_, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
file_limit = min(hard_limit, 65536) if hard_limit != resource.RLIM_INFINITY else 65536
resource.setrlimit(resource.RLIMIT_NOFILE, (file_limit, hard_limit))
worker_connections = max(threads + 1, min(1000, file_limit - 2 * threads - 128))
# NumPy and torch read this at import, in the workers. More threads than the CPU quota allows slow each other
# down.
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cpus() // workers)))
# In memory: the heartbeat file of a worker on a busy disk could be late, and the worker be killed.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
# The control socket is created in the home directory, which a container's user may not have.
control_socket_disable = True
timeout = 60
graceful_timeout = 30
keepalive = 5
accesslog = "-"
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s bytes %(M)s ms id %({x-request-id}o)s'


def on_starting(server: Arbiter) -> None:
    """Called once before the address is bound: exits with one sentence if the server cannot start."""
    for name in unknown_variables():
        server.log.warning("%s is not a setting and changes nothing", name)
    if not Path(settings.model).is_file():
        sys.exit(f"error: CIFAKE_MODEL={settings.model}: there is no such file")
    address = parse_address(bind)
    if isinstance(address, tuple) and "GUNICORN_FD" not in os.environ:  # else the socket is inherited
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family) as test_socket:
            test_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                test_socket.bind(address)
            except (OSError, OverflowError) as error:
                if getattr(error, "errno", None) != errno.EADDRINUSE:
                    sys.exit(f"error: CIFAKE_BIND={bind}: {error}")
                sys.exit(
                    f"error: {bind} is in use: stop what listens there, or set CIFAKE_BIND to another port "
                    "(make serve PORT=8001)"
                )


def post_fork(server: Arbiter, worker: BaseWorker) -> None:
    """Called in each worker before it loads the application."""
    return_freed_memory()


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Called in the parent after a worker has exited."""
    worker.balancer.withdraw()
