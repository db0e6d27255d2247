"""gunicorn's configuration: `gunicorn -c api/gunicorn.conf.py "api.app:create_app()"`."""

import errno
import os
import resource
import sys
from pathlib import Path

import gunicorn.app.base
from gunicorn import systemd

import api.security.counters  # noqa: F401 - its memory is the workers', who are forked later
from api.monitoring import slots
from api.monitoring.logs import Logger
from api.security.key_file import KeyFileError, read_keys
from api.server.arbiter import Arbiter
from api.server.binding import check_address, is_public
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

bind = settings.bind.split(",")
if settings.metrics_bind != "same":
    bind.append(settings.metrics_bind)  # the last one: see Worker.metrics_listener
# Per picture, Python takes as much CPU time as the engine, and one process runs Python on one core.
workers = settings.workers
if not workers:
    most = min(available_cpus(), memory_limit() / WORKER_BYTES)
    workers = max(1, int(most)) if runs_on_cpu(settings.device) else 1
threads = settings.threads
worker_class = Worker
# Each worker loads the model: torch's threads do not survive a fork.
preload_app = False
# `socket.sendfile` refuses sockets that do not block, and does not know of the headers that ours hold back.
sendfile = False
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
graceful_timeout = settings.drain_seconds
keepalive = settings.keepalive_seconds
# By default gunicorn believes these headers of local clients and Unix sockets; see CIFAKE_TRUSTED_PROXIES.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
gunicorn.app.base.Arbiter = Arbiter  # gunicorn has no setting for its class
accesslog = "-"
logger_class = Logger
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s bytes %(M)s ms id %({x-request-id}o)s%(key)s'


def on_starting(server: Arbiter) -> None:
    """Called once before the address is bound: exits with one sentence if the server cannot start."""
    for name in unknown_variables():
        server.log.warning("%s is not a setting and changes nothing", name)
    if not Path(settings.model).is_file():
        sys.exit(f"error: CIFAKE_MODEL={settings.model}: there is no such file")
    if settings.keys_file != "none":
        try:
            read_keys(Path(settings.keys_file))
        except KeyFileError as error:
            sys.exit(f"error: CIFAKE_KEYS_FILE={settings.keys_file}: {error}")
    elif any(map(is_public, server.address)):
        server.log.warning(
            "everybody whose machine reaches %s can use the service: set CIFAKE_KEYS_FILE to a file that "
            "`python -m api.keys new NAME` makes",
            settings.bind,
        )
    if server.cfg.is_ssl:
        sys.exit("error: TLS by --certfile or --keyfile is not supported: put a proxy with TLS in front")
    inherited = "GUNICORN_FD" in os.environ or systemd.listen_fds(unset_environment=False)
    for name, address in zip(server.cfg.bind, server.address, strict=True) if not inherited else ():
        try:
            check_address(address)
        except (OSError, OverflowError, ValueError) as error:
            setting = "CIFAKE_METRICS_BIND" if name == settings.metrics_bind else "CIFAKE_BIND"
            if getattr(error, "errno", None) != errno.EADDRINUSE:
                sys.exit(f"error: {setting}={name}: {error}")
            sys.exit(
                f"error: {name} is in use: stop what listens there, or set {setting} to another port "
                "(make serve PORT=8001)"
            )
    try:
        slots.create_folder(worker_tmp_dir)
    except OSError as error:
        sys.exit(f"error: metrics need a folder: {error}; set TMPDIR to one that can be written to")


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Called in the parent before a worker is forked."""
    worker.slot = slots.free_slot(other.slot for other in server.WORKERS.values())


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Called in each worker before it loads the application."""
    slots.take_slot(worker.slot)
    return_freed_memory()


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Called in the parent after a worker has exited."""
    worker.balancer.withdraw()
    slots.release_slot(worker.slot)


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """Called in a worker before it exits."""
    slots.flush()


def on_exit(server: Arbiter) -> None:
    """Called in the parent before it exits."""
    slots.remove_folder()
