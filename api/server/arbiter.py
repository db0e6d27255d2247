"""gunicorn's arbiter, the parent of the workers: it drains before it stops, and reloads without a restart."""

import math
import mmap
import signal
import time

from gunicorn.arbiter import Arbiter as GunicornArbiter

from api.settings import load_settings

# Memory shared by all processes, because it is created before the fork: 1 once the server is to stop.
_draining = mmap.mmap(-1, 1)


def is_draining() -> bool:
    """Whether the server has been told to stop, in the arbiter or any of its workers."""
    return _draining[0] == 1


class Arbiter(GunicornArbiter):  # type: ignore[misc]
    """SIGTERM and SIGHUP differ from gunicorn's; all other signals are as its documentation says.

    SIGTERM: workers are told at once, so that `/readyz` answers 503 and connections are closed after their
    response. They go on to accept connections for CIFAKE_DRAIN_DELAY_SECONDS. Then gunicorn stops them. More
    of these signals change nothing; SIGINT or SIGQUIT ends the server without waiting.

    SIGHUP: is passed on to the workers, each of which loads the checkpoint anew (see api.server.reload).
    gunicorn would replace them, and answer 503 meanwhile.
    """

    stop_at = math.inf  # by time.monotonic()

    def handle_term(self) -> None:
        """Start to drain."""
        if not is_draining():
            _draining[0] = 1
            self.stop_at = time.monotonic() + load_settings().drain_delay_seconds

    def handle_hup(self) -> None:
        """Let each worker load the checkpoint anew."""
        self.kill_workers(signal.SIGHUP)

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Signals that came within `timeout` seconds. Raises StopIteration, as gunicorn does, to stop."""
        remaining = self.stop_at - time.monotonic()
        signals: list[int] = super().wait_for_signals(max(0.0, min(timeout, remaining)))
        if not signals and time.monotonic() >= self.stop_at:
            raise StopIteration
        return signals
