"""`POST /admin/reload`: serves the checkpoint's file as it is now."""

from flask import Blueprint, current_app

from api.parameters import check_query
from api.security.admission import require_admin
from api.server.reload import request_reload
from api.service import current_service

blueprint = Blueprint("admin", __name__)


@blueprint.post("/admin/reload")
def reload() -> dict[str, str]:
    """The digests of the checkpoints before and after; they are equal if the file is served already."""
    require_admin(current_app)
    check_query()
    return request_reload(current_service())._asdict()
