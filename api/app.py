"""The application factory."""

import logging
import os
import tempfile
from pathlib import Path

from flask import Flask, request

from api.errors import NotReadyProblem, register_errors
from api.routes import batch, health, predict
from api.service import KEY, PredictorLike, Service
from api.settings import Settings, load_settings
from api.uploads import UploadRequest
from model.files import check_writable
from model.predictor import Predictor

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, predictor: PredictorLike | None = None) -> Flask:
    """The application, its model loaded and warm.

    settings: instead of the environment's. predictor: one to use instead of loading the checkpoint that the
    settings name. Raises SettingsError, CheckpointError or ValueError (device).
    """
    settings = settings or load_settings()
    app = _application()
    for module in (predict, batch):
        app.register_blueprint(module.blueprint)
    service = Service(predictor or _load_predictor(settings), settings)
    service.warm_up()
    try:
        check_writable(Path(settings.output_dir))
    except OSError as error:
        log.warning(
            "batches will be refused: CIFAKE_OUTPUT_DIR cannot be written to: %s: make user %d the owner of "
            "the folder (chown), or mount a volume there",
            error,
            os.getuid(),
        )
    try:
        tempfile.TemporaryFile().close()
    except OSError as error:
        log.warning(
            "uploads over 1 MB will be refused: %s; let /tmp be written to (docker run --tmpfs /tmp), or set "
            "TMPDIR to a folder that can be",
            error,
        )
    app.extensions[KEY] = service
    return app


def _load_predictor(settings: Settings) -> PredictorLike:
    return Predictor.load(settings.model, settings.device, settings.engine, settings.precision)


def create_starting_app() -> Flask:
    """What answers while the model is being loaded: `/livez` 200, all else 503."""
    app = _application()

    @app.before_request
    def not_ready() -> None:
        if request.endpoint != "health.livez":
            raise NotReadyProblem("the model is being loaded; ask again in a few seconds")

    return app


def _application() -> Flask:
    app = Flask(__name__)
    app.request_class = UploadRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]
    register_errors(app)
    app.register_blueprint(health.blueprint)
    return app
