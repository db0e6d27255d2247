"""The application factory."""

import logging
import os
import tempfile
from pathlib import Path

from flask import Flask, request

from api.errors import NotReadyProblem, register_errors
from api.routes import batch, health, predict
from api.service import EXTENSION, PredictorLike, Service
from api.settings import Settings, load_settings
from api.uploads import UploadRequest
from model.files import check_writable
from model.predictor import Predictor

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, predictor: PredictorLike | None = None) -> Flask:
    """Create the application with a loaded, warmed-up model.

    settings: by default from the environment. predictor: by default loaded from the checkpoint in the
    settings. Raises SettingsError, CheckpointError or ValueError (device).
    """
    settings = settings or load_settings()
    app = _base_app()
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
    app.extensions[EXTENSION] = service
    return app


def _load_predictor(settings: Settings) -> PredictorLike:
    return Predictor.load(settings.model, settings.device, settings.engine, settings.precision)


def create_starting_app() -> Flask:
    """Create the application that answers while the model loads: 200 for `/livez`, else 503."""
    app = _base_app()

    @app.before_request
    def not_ready() -> None:
        if request.endpoint != "health.livez":
            raise NotReadyProblem("the model is being loaded; retry in a few seconds")

    return app


def _base_app() -> Flask:
    app = Flask(__name__)
    app.request_class = UploadRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]
    register_errors(app)
    app.register_blueprint(health.blueprint)
    return app
