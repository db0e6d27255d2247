"""The application factory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from api import batch, health, predict
from api.errors import register_errors
from api.service import KEY, PredictorLike, Service
from api.settings import load_settings
from model.images import ImageLimits
from model.predictor import Predictor


def create_app(settings: Mapping[str, Any] | None = None, predictor: PredictorLike | None = None) -> Flask:
    """The application, its model loaded and warm.

    settings: values that go before the environment's. predictor: one to use instead of loading
    the checkpoint that the settings name. Raises SettingsError, CheckpointError or ValueError (device).
    """
    app = Flask(__name__)
    load_settings(app.config, settings or {})
    app.json.sort_keys = False  # type: ignore[attr-defined]
    register_errors(app)
    for module in (predict, batch, health):
        app.register_blueprint(module.blueprint)
    if predictor is None:
        predictor = Predictor.load(
            app.config["MODEL"],
            app.config["DEVICE"],
            app.config["ENGINE"],
            app.config["PRECISION"],
            Path(app.config["CACHE_DIR"]) if app.config["CACHE_DIR"] else None,
        )
    service = Service(
        predictor,
        ImageLimits(app.config["MAX_IMAGE_PIXELS"]),
        app.config["BATCH_SIZE"],
        app.config["QUEUE_SIZE"],
        app.config["DEADLINE_SECONDS"],
    )
    service.warm_up()
    app.extensions[KEY] = service
    return app
