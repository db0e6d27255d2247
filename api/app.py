"""The application factory."""

import logging
import os
import tempfile
from pathlib import Path

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from api.errors import NotReadyProblem, register_errors
from api.jobs.queue import EXTENSION as JOBS
from api.jobs.queue import JobQueue
from api.monitoring.metrics import set_model
from api.monitoring.requests import register_monitoring
from api.routes import admin, batch, docs, health, inference_protocol, jobs, metrics, page, predict
from api.security.admission import load_keys, register_admission
from api.security.cors import register_cors
from api.security.headers import register_headers
from api.service import EXTENSION, PredictorLike, Service, load_predictor
from api.settings import Settings, load_settings
from api.uploads import UploadRequest
from model.files import check_writable

log = logging.getLogger(__name__)

# Endpoints that need no model. The page asks `/readyz` until there is one.
STARTING = ("health.livez", "inference_protocol.live", "metrics.metrics", "page.page", "static")


def create_app(settings: Settings | None = None, predictor: PredictorLike | None = None) -> Flask:
    """Create the application with a loaded, warmed-up model.

    settings: by default from the environment. predictor: by default loaded from the checkpoint in the
    settings. Raises SettingsError, KeyFileError, CheckpointError or ValueError (device).
    """
    settings = settings or load_settings()
    app = _base_app(settings)
    load_keys(app)
    for module in (predict, batch, jobs, admin, docs):
        app.register_blueprint(module.blueprint)
    service = Service(predictor or load_predictor(settings), settings)
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
    app.extensions[JOBS] = JobQueue(service, app.app_context)
    set_model(service.predictor.metadata.digest, service.predictor.info)
    return app


def create_starting_app() -> Flask:
    """Create the application that answers while the model loads: `/livez`, `/metrics`, the page, else 503."""
    app = _base_app(load_settings())

    @app.before_request
    def not_ready() -> None:
        if request.endpoint not in STARTING:
            raise NotReadyProblem("the model is being loaded; retry in a few seconds")

    return app


def _base_app(settings: Settings) -> Flask:
    app = Flask(__name__)
    if proxies := settings.trusted_proxies:
        # It also changes the environment that gunicorn's access log shows.
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=proxies
        )
    app.request_class = UploadRequest
    app.json.sort_keys = False  # type: ignore[attr-defined]
    register_errors(app)
    register_monitoring(app)
    register_admission(app, settings)
    register_headers(app)
    if settings.cors_origins != "none":
        register_cors(app, settings.cors_origins)
    for module in (health, metrics, inference_protocol, page):
        app.register_blueprint(module.blueprint)
    return app
