"""The reload of the checkpoint in all worker processes, asked for by a request."""

from http import HTTPStatus
from pathlib import Path

from api.errors import Problem
from api.service import Reload, Service
from model.metadata import CheckpointError


class ReloadingProblem(Problem):
    """A checkpoint is being loaded already."""

    status, slug = HTTPStatus.CONFLICT, "reloading"


class RefusedCheckpointProblem(Problem):
    """The checkpoint's file cannot be served; the former checkpoint is."""

    status, slug = HTTPStatus.UNPROCESSABLE_ENTITY, "refused-checkpoint"


def request_reload(service: Service) -> Reload:
    """Serve the checkpoint's file as it is now, here at once and in the other processes soon.

    It is loaded and checked here first, which takes seconds; if it cannot be served, nothing is changed.
    Raises ReloadingProblem (409) or RefusedCheckpointProblem (422).
    """
    if service.reload_lock.locked():
        raise ReloadingProblem("a checkpoint is being loaded; retry in a few seconds")
    try:
        reload = service.reload()
    except (CheckpointError, ValueError, OSError) as error:
        file = service.settings.model
        reason = str(error).replace(file, Path(file).name)  # no answer has the server's folders
        raise RefusedCheckpointProblem(f"nothing is changed: {reason}") from error
    if service.signal_workers is not None:
        service.signal_workers()
    return reload
