"""The picture in a request: as a form's file, as the body, or as base64 in JSON."""

import base64
import binascii

from flask import current_app, request

from api.errors import BadRequestProblem, TooLargeProblem

# What a form or JSON adds around a picture: boundaries, headers, names.
ENVELOPE = 64 << 10


def picture_bytes() -> bytes:
    """The bytes of the one picture in this request, whichever of the three forms it has.

    A body that is neither a form nor JSON is the picture itself, also under the content type that
    `curl --data-binary` sends unasked. Raises Problem.
    """
    most = current_app.config["MAX_IMAGE_BYTES"]
    if request.mimetype == "multipart/form-data":
        request.max_content_length = most + ENVELOPE
        data = _from_form()
    elif request.mimetype == "application/json":
        request.max_content_length = most * 4 // 3 + ENVELOPE
        data = _from_json()
    else:
        request.max_content_length = most + 1  # a body without a length is cut there, and told below
        data = request.get_data(cache=False)
    if not data:
        raise BadRequestProblem(
            "there is no picture in this request: send it as the multipart field `file`, as the body, "
            'or as JSON {"file": "<base64>"}'
        )
    if len(data) > most:
        raise TooLargeProblem(f"a picture may have {most} bytes at most; send a smaller one")
    return data


def _from_form() -> bytes:
    files = request.files.getlist("file")
    if len(files) != 1:
        fields = ", ".join(sorted({*request.files, *request.form})) or "none"
        raise BadRequestProblem(
            f"send exactly one picture in the multipart field `file`, as a file; there were {len(files)} "
            f"(fields sent: {fields}); several pictures go to /batch"
        )
    return files[0].read()


def _from_json() -> bytes:
    content = request.get_json()
    text = content.get("file") if isinstance(content, dict) else None
    if not isinstance(text, str):
        raise BadRequestProblem('the JSON must be {"file": "<the picture in base64, or as a data URL>"}')
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadRequestProblem("a data URL must be `data:<type>;base64,<data>`")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestProblem(f"`file` is not base64: {error}") from error
