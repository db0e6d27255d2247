"""C2PA manifests (Content Credentials, C2PA 2.2), validated by the optional package c2pa-python."""

import importlib
import io
import json
import math
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from model.images.provenance.blocks import MAX_MANIFEST_BYTES, mime_type
from model.images.provenance.generators import (
    GENERATED,
    MAX_NAME_CHARACTERS,
    digital_source_type,
    generator_rank,
)

MAX_ASSERTION_BYTES = 1 << 18  # of its CBOR and JSON; c2pa-rs takes up to 170 times as much memory
MAX_MANIFEST_JSON = 1 << 20
MAX_MANIFESTS = 8  # from the active one to its parents

_ASSERTION_BOX = re.compile(rb"cbor|json|brob")
_c2pa_lock = threading.Lock()  # of its one reader; one that takes too long keeps it until it ends


class ManifestError(Exception):
    """Why a C2PA manifest was not read."""


def read_store(data: bytes, manifest: bytes, seconds: float) -> tuple[str, dict[str, Any]]:
    """Validation state and manifest store. Raises ManifestError, or c2pa-python's errors.

    c2pa-python runs in a thread that is left behind if it takes longer: it has no time limit of its own.
    """
    if len(manifest) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"the manifest has more than {MAX_MANIFEST_BYTES} bytes")
    if _assertion_bytes(manifest) > MAX_ASSERTION_BYTES:
        raise ManifestError(f"its assertions have more than {MAX_ASSERTION_BYTES} bytes, or are compressed")
    try:
        c2pa = importlib.import_module("c2pa")
    except ImportError as error:
        raise ManifestError("c2pa-python is not installed") from error
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(_validate(c2pa, data, manifest))
        except Exception as error:
            results.append(error)
        finally:
            _c2pa_lock.release()

    begun = time.monotonic()
    if seconds <= 0 or not _c2pa_lock.acquire(timeout=seconds):
        raise ManifestError("it was not validated in time")
    thread = threading.Thread(target=run, name="c2pa", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there are too many threads
        _c2pa_lock.release()
        raise
    thread.join(max(0.0, begun + seconds - time.monotonic()))
    if not results:
        raise ManifestError("it was not validated in time")
    if isinstance(results[0], Exception):
        raise results[0]
    state, text = results[0]
    if len(text) > MAX_MANIFEST_JSON:
        raise ManifestError(f"its assertions have more than {MAX_MANIFEST_JSON} characters")
    return state, json.loads(text)


def _assertion_bytes(manifest: bytes) -> float:
    """Bytes of the boxes of CBOR and JSON; more where other data looks like one; infinite if compressed."""
    total = 0.0
    for found in _ASSERTION_BOX.finditer(manifest, 4):
        start = found.start() - 4
        size = int.from_bytes(manifest[start : found.start()])
        if size < 8:  # up to the end, or a length of 64 bits
            size = len(manifest) - start
        if start + size <= len(manifest):  # else it is a name within other data, or is cut short
            total += math.inf if found[0] == b"brob" else size
    return total


def _validate(c2pa: Any, data: bytes, manifest: bytes) -> tuple[str, str]:
    """Without network: no remote manifests, no OCSP, no identities of CAWG, and no other host at all."""
    settings = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "core": {"allowed_network_hosts": [], "decode_identity_assertions": False},
    }
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader(mime_type(data), io.BytesIO(data), manifest, context) as reader,
    ):
        return str(reader.get_validation_state()), reader.json()


class ManifestStatements(NamedTuple):
    """signed_by, claim_generator: names as the manifest gives them, of MAX_NAME_CHARACTERS at most.

    rank: an index in RULES, of the generator that its actions name. Each is None where it is not stated.
    """

    signed_by: str | None
    claim_generator: str | None
    digital_source_type: str | None
    rank: int | None


def read_manifests(store: dict[str, Any]) -> ManifestStatements:
    """What the active manifest of a C2PA manifest store, and the manifests of its parents, state.

    store: the JSON of c2pa-rs (`Reader.json`). Of several digital source types, one that involves a trained
    model is given before the others. Raises LookupError, TypeError or AttributeError for a store of another
    form.
    """
    manifests = list(_lineage(store))
    types: list[str] = []
    agents: list[object] = [_claim_generator(manifest) for manifest in manifests]
    for action in (action for manifest in manifests for action in _actions(manifest)):
        agent = action.get("softwareAgent")
        agents += [agent.get("name") if isinstance(agent, dict) else agent, action.get("description")]
        if stated := digital_source_type(str(action.get("digitalSourceType"))):
            types.append(stated)
    signature = manifests[0].get("signature_info") or {}
    # An organisation, before the name of a person or device.
    signer = signature.get("issuer") or signature.get("common_name")
    source_type = next((stated for stated in types if stated in GENERATED), types[0] if types else None)
    if source_type == "trainedAlgorithmicMedia":
        agents.append(signer)
    ranks = [generator_rank("softwareAgent", str(agent)[:256]) for agent in agents if agent]
    rank = min((rank for rank in ranks if rank is not None), default=None)
    return ManifestStatements(_name(signer), _name(_claim_generator(manifests[0])), source_type, rank)


# Serial numbers, addresses and control characters.
_NO_NAME = re.compile(r"\d{5,}|\S+@\S+|[^ -~\u00a1-\uffef]")


def _lineage(store: dict[str, Any]) -> Iterator[dict[str, Any]]:
    label = store["active_manifest"]
    for _ in range(MAX_MANIFESTS):
        manifest = store["manifests"][label]
        yield manifest
        ingredients = manifest.get("ingredients") or []
        parents = [each for each in ingredients if each.get("relationship") == "parentOf"]
        label = parents[0].get("active_manifest") if parents else None
        if label not in store["manifests"]:
            return


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for assertion in manifest.get("assertions") or []:
        if str(assertion.get("label")).startswith("c2pa.actions"):
            yield from assertion["data"]["actions"]


def _claim_generator(manifest: dict[str, Any]) -> str:
    infos = manifest.get("claim_generator_info") or [{}]
    return str(infos[0].get("name") or re.split("[ /]", str(manifest.get("claim_generator") or ""))[0])


def _name(text: object) -> str | None:
    return _NO_NAME.sub("", str(text))[:MAX_NAME_CHARACTERS].strip() or None if text else None
