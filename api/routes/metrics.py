"""`GET /metrics`: metrics in Prometheus's text format."""

from collections.abc import Mapping
from contextlib import suppress
from typing import get_args

from flask import Blueprint, Response, current_app
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.errors import JobsUnavailableProblem
from api.jobs.job import State
from api.jobs.queue import EXTENSION, current_jobs
from api.monitoring.metrics import exposition

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """The metrics of all workers."""
    return Response(exposition(_jobs()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _jobs() -> Mapping[str, int]:
    """The number of jobs in each state; none while the model is loaded, or if their record cannot be read."""
    if EXTENSION in current_app.extensions:
        with suppress(JobsUnavailableProblem):  # it is in the log
            return dict.fromkeys(get_args(State), 0) | current_jobs().store.count_by_state()
    return {}
