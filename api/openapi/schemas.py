"""Schemas of bodies (JSON Schema 2020-12). Answers have no members but those described; problems may."""

from collections.abc import Mapping
from typing import Any

from api.jobs.job import State

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
ANY_OBJECT: Schema = {"type": "object"}
FILE_BYTES: Schema = {"type": "string", "format": "binary"}
LABEL: Schema = {"enum": ["REAL", "FAKE"]}
TIME: Schema = {"type": "string", "format": "date-time"}
DIGEST: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
DIGEST_START: Schema = {"type": "string", "pattern": "^[0-9a-f]{12}$"}
JOB_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{32}$"}
URL: Schema = {"type": "string", "format": "uri-reference"}
PNG_URL: Schema = {"type": "string", "pattern": "^data:image/png;base64,"}
OUT_OF_DOMAIN_REASON: Schema = {"enum": ["size", "content"]}


def ref(name: str) -> Schema:
    """A reference to one of these schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **limits: int) -> Schema:
    """An array of `items`."""
    return {"type": "array", "items": items, **limits}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(
    required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, closed: bool = True
) -> Schema:
    """An object with these members, and with no others if it is closed."""
    schema: Schema = {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }
    return schema | {"additionalProperties": False} if closed else schema


def described(schema: Schema, text: str) -> Schema:
    """The schema with a description."""
    return {**schema, "description": text}


def answer_schemas() -> dict[str, Schema]:
    """The schemas of answers by their names, but for those of `/v2`."""
    return {
        "Problem": _problem(),
        "Answer": _answer(),
        "HuggingFaceAnswer": array(record({"label": LABEL, "score": PROBABILITY}), minItems=2, maxItems=2),
        "Provenance": _provenance(),
        "Predictions": array(record({"image_id": STRING, "prediction": PROBABILITY}), minItems=1),
        "Unreadable": array(record({"image_id": STRING, "error": STRING})),
        "Summary": _summary(),
        "DetailedPredictions": record(
            {
                "predictions": ref("Predictions"),
                "unreadable": ref("Unreadable"),
                "out_of_domain": described(
                    nullable(array(record({"image_id": STRING, "reason": OUT_OF_DOMAIN_REASON}))),
                    "pictures unlike the training data; null of a job that an earlier version worked on",
                ),
                "summary": ref("Summary"),
            }
        ),
        "Job": _job(),
        "Jobs": record(
            {"jobs": array(ref("Job")), "links": record({"self": URL}, {"next": URL})},
        ),
        "Model": _model(),
        "Reload": record({"before": DIGEST, "after": DIGEST}),
    }


def _problem() -> Schema:
    return record(
        {
            "type": described(URL, "urn:cifake:problem: and the kind of problem, such as `too-large`"),
            "title": described(STRING, "the name of the status"),
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": described(STRING, "what was wrong and what to do"),
            "request_id": STRING,
        },
        {
            "error": described(STRING, "at `/v2`: the same as `detail`"),
            "unreadable": described(ref("Unreadable"), "of a batch: files that could not be read"),
        },
        closed=False,
    )


def _answer() -> Schema:
    return record(
        {
            "label": described(
                {"enum": ["REAL", "FAKE", "UNCERTAIN"]}, "UNCERTAIN only where `abstain` was given"
            ),
            "confidence": described(PROBABILITY, "calibrated probability of the likelier label"),
            "prediction": described(PROBABILITY, "P(REAL)"),
            "scores": record({"REAL": PROBABILITY, "FAKE": PROBABILITY}),
            "in_domain": described(
                nullable(BOOLEAN), "whether the picture is like the training data; null if nothing tells"
            ),
            "out_of_domain_reason": nullable(OUT_OF_DOMAIN_REASON),
            "width": {"type": "integer", "minimum": 1},
            "height": {"type": "integer", "minimum": 1},
            "resized": described(BOOLEAN, "whether the file's picture is not of the network's size"),
            "model": described(DIGEST_START, "the start of the digest of the checkpoint that answered"),
            "request_id": STRING,
        },
        {
            "explanation": record({"method": {"const": "gradcam"}, "heatmap": PNG_URL}),
            "input": described(PNG_URL, "the pixels that the network received"),
            "provenance": ref("Provenance"),
        },
    )


def _provenance() -> Schema:
    return described(
        record(
            {
                "generator": nullable(STRING),
                "camera": nullable(ANY_OBJECT),
                "digital_source_type": nullable(STRING),
                "c2pa": nullable(ANY_OBJECT),
                "evidence": array(STRING),
                "complete": BOOLEAN,
            }
        ),
        "what the file states of its origin, which is no proof",
    )


def _summary() -> Schema:
    return record(
        {
            "files": COUNT,
            "pictures": COUNT,
            "unreadable": COUNT,
            "real": COUNT,
            "fake": COUNT,
            "out_of_domain": record({"size": COUNT, "content": COUNT}),
            "positive": LABEL,
            "label_1_in_training_data": LABEL,
            "label_1_assumed": BOOLEAN,
            "model": DIGEST_START,
            "seconds": {"type": "number", "minimum": 0},
        }
    )


def _job() -> Schema:
    return record(
        {
            "id": JOB_ID,
            "team": STRING,
            "state": {"enum": list(State.__args__)},  # type: ignore[attr-defined]
            "created": TIME,
            "started": nullable(TIME),
            "finished": nullable(TIME),
            "total": described(nullable(COUNT), "files; null before they were counted"),
            "done": COUNT,
            "unreadable": COUNT,
            "seconds_left": nullable({"type": "number", "minimum": 0}),
            "links": record({"self": URL}, {"result": URL, "unreadable": URL}),
        },
        {"reason": described(ANY_OBJECT, "the problem that it failed with, or waits for")},
    )


def _model() -> Schema:
    return record(
        {
            "digest": DIGEST,
            "engine": record({"framework": STRING, "precision": STRING, "device": STRING}),
            "architecture": ANY_OBJECT,
            "preprocess": ANY_OBJECT,
            "labels": record({"0": STRING, "1": STRING}),
            "prediction": STRING,
            "label_1_in_training_data": LABEL,
            "label_1_assumed": BOOLEAN,
            "calibration": ANY_OBJECT,
            "threshold": PROBABILITY,
            "domain": STRING,
            "recipe": ANY_OBJECT,
            "data": ANY_OBJECT,
            "metrics": ANY_OBJECT,
        }
    )
