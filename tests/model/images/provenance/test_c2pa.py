import datetime
import io
import json
import random
import struct
import sys
import threading
import time
from functools import cache
from typing import Any

import pytest
from PIL import features

from model.images import provenance
from model.images.provenance import read_provenance
from model.images.provenance.c2pa import MAX_MANIFEST_JSON
from tests.model.images.provenance.files import (
    CAMERA,
    JUMBF,
    SECRETS,
    TRAINED,
    chunk,
    encoded,
    exif,
    file,
    flipped,
    jpeg,
    png,
)


def test_a_manifest_is_reported_where_c2pa_python_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    expected = {"present": True, "validated": False, "reason": "c2pa-python is not installed"}
    webp = encoded("WEBP") + b"C2PA" + struct.pack("<L", len(JUMBF)) + JUMBF
    segment = b"JP\0\1\0\0\0\1" + JUMBF
    for data in (file("c2pa.png"), webp, jpeg((0xEB, segment))):
        assert read_provenance(data).c2pa == expected


class _StubContext:
    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "_StubContext":
        assert settings["core"]["allowed_network_hosts"] == []
        return cls()

    def __enter__(self) -> "_StubContext":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class StubC2pa:
    """Stands in for c2pa-python: a reader that gives `store`, once `ready`."""

    Context = _StubContext

    def __init__(self, store: object, state: str = "Valid", ready: threading.Event | None = None) -> None:
        self.store, self.state, self.ready = store, state, ready

    def Reader(self, *_: object) -> "StubReader":  # noqa: N802
        return StubReader(self)


class StubReader(_StubContext):
    def __init__(self, stub: StubC2pa) -> None:
        if stub.ready:
            stub.ready.wait()
        self._stub = stub

    def get_validation_state(self) -> str:
        return self._stub.state

    def json(self) -> str:
        return json.dumps(self._stub.store)


def store(agent: object = "GPT-4o", source_type: str = TRAINED, **fields: Any) -> dict[str, Any]:
    """As ChatGPT writes it: a manifest that converts the picture of its parent."""
    action = {"action": "c2pa.created", "softwareAgent": agent, "digitalSourceType": source_type}
    parent = {"assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}]}
    active = {
        "claim_generator_info": [{"name": "ChatGPT"}],
        "signature_info": {"issuer": "OpenAI", "common_name": "OWNERSECRET", "cert_serial_number": "123"},
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.converted"}]}}],
        "ingredients": [{"relationship": "parentOf", "active_manifest": "b"}],
    }
    return {"active_manifest": "a", "manifests": {"a": active | fields, "b": parent}}


def with_stub(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> provenance.Provenance:
    monkeypatch.setitem(sys.modules, "c2pa", StubC2pa(*arguments))  # type: ignore[arg-type]
    return read_provenance(file("c2pa.png"))


@pytest.mark.parametrize("agent", ["DALL·E", {"name": "gpt-image"}, None])
def test_what_manifests_state(monkeypatch: pytest.MonkeyPatch, agent: object) -> None:
    found = with_stub(monkeypatch, store(agent))
    assert found.generator == "DALL·E / ChatGPT (OpenAI)"
    assert found.digital_source_type == "trainedAlgorithmicMedia"
    assert found.evidence == ("c2pa:manifest", "c2pa:digitalSourceType", "c2pa:softwareAgent")
    assert found.c2pa == {
        "present": True,
        "validated": True,
        "validation_state": "Valid",
        "signed_by": "OpenAI",
        "claim_generator": "ChatGPT",
        "digital_source_type": "trainedAlgorithmicMedia",
    }


def test_names_of_a_manifest_have_no_serial_number_or_address(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = {"common_name": "Z9 2001234 jane@example.org " + "a" * 100}
    found = with_stub(monkeypatch, store(signature_info=signature, claim_generator_info=None))
    assert found.c2pa is not None
    assert found.c2pa["signed_by"].split() == ["Z9", found.c2pa["signed_by"].split()[1]]
    assert len(found.c2pa["signed_by"]) <= 64
    assert found.c2pa["claim_generator"] is None


def test_an_invalid_manifest_states_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_stub(monkeypatch, store(), "Invalid")
    assert found.c2pa is not None
    assert not found.c2pa["validated"]
    assert found.c2pa["validation_state"] == "Invalid"
    assert (found.generator, found.digital_source_type, found.evidence) == (None, None, ("c2pa:manifest",))


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        {},
        {"active_manifest": "a", "manifests": {}},
        store(assertions=[{"label": "c2pa.actions", "data": 3}]),
        store(assertions=3),
        store(ingredients=[3]),
        store(ingredients=[{"relationship": "parentOf", "active_manifest": []}]),
        store(claim_generator_info=[3]),
        store(signature_info=[1]),
    ],
)
def test_a_manifest_of_another_form_is_damaged(monkeypatch: pytest.MonkeyPatch, damaged: object) -> None:
    expected = {"present": True, "validated": False, "reason": "the manifest is damaged"}
    assert with_stub(monkeypatch, damaged).c2pa == expected


def test_a_circle_of_parents_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = [{"relationship": "parentOf", "active_manifest": "a"}]
    assert with_stub(monkeypatch, store(ingredients=parents)).generator == "DALL·E / ChatGPT (OpenAI)"


def test_large_assertions_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_stub(monkeypatch, store(title="a" * MAX_MANIFEST_JSON))
    assert found.c2pa is not None
    assert "characters" in found.c2pa["reason"]


def test_a_slow_validation_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = threading.Event()
    monkeypatch.setattr(provenance, "C2PA_SECONDS", 0.05)
    answers = [with_stub(monkeypatch, store(), "Valid", ready).c2pa for _ in range(3)]
    ready.set()
    assert answers == [{"present": True, "validated": False, "reason": "it was not validated in time"}] * 3
    monkeypatch.setattr(provenance, "C2PA_SECONDS", 10)
    assert with_stub(monkeypatch, store()).generator == "DALL·E / ChatGPT (OpenAI)"


@pytest.mark.parametrize(
    "manifest",
    [
        JUMBF + b"\0\4\0\1cbor" + bytes(1 << 18),
        JUMBF + (b"\0\0\1\0json" + bytes(248)) * 1025,
        JUMBF + b"\0\0\0\0cbor" + bytes(1 << 18),
        JUMBF + b"\0\0\0\1json" + bytes(1 << 18),
        JUMBF + b"\0\0\0\x10brob" + bytes(8),
        JUMBF + bytes(5 << 20),
    ],
)
def test_a_manifest_that_takes_much_memory_is_not_validated(
    monkeypatch: pytest.MonkeyPatch, manifest: bytes
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", StubC2pa(store()))  # type: ignore[arg-type]
    assert read_provenance(png(chunk(b"caBX", JUMBF + bytes(2 << 20)))).generator
    found = read_provenance(png(chunk(b"caBX", manifest)))
    assert found.c2pa is not None
    assert "more than" in found.c2pa["reason"]
    assert found.generator is None


@cache
def signed(file_format: str) -> bytes:
    """A file signed with a certificate of a new authority."""
    c2pa = pytest.importorskip("c2pa")
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> Any:
        attributes = [(x509.NameOID.ORGANIZATION_NAME, text), (x509.NameOID.COMMON_NAME, "OWNERSECRET")]
        return x509.Name([x509.NameAttribute(*each) for each in attributes])

    def certificate(subject: str, key: Any, authority: Any, authority_key: Any) -> Any:
        leaf = authority is not None
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(name(authority or subject), name(subject), key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(not leaf, None), critical=True)
            .add_extension(
                x509.KeyUsage(leaf, False, False, False, False, not leaf, False, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if leaf:
            usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.4")])
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(authority_key, hashes.SHA256())

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = [
        certificate("Test signer", key, "Test root", root_key),
        certificate("Test root", root_key, None, root_key),
    ]
    pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    action = {
        "action": "c2pa.created",
        "digitalSourceType": TRAINED,
        "softwareAgent": {"name": "Adobe Firefly"},
    }
    manifest = {
        "claim_generator_info": [{"name": "Test program", "version": "1"}],
        "title": "PROMPTSECRET",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    source, target = io.BytesIO(encoded(file_format, exif=exif())), io.BytesIO()
    info = c2pa.C2paSignerInfo(b"es256", pem, secret, None)
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
        builder.sign(signer, f"image/{file_format.lower()}", source, target)
    return target.getvalue()


SIGNED_FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "GIF", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("file_format", SIGNED_FORMATS)
def test_a_signed_manifest_is_validated(file_format: str) -> None:
    found = read_provenance(signed(file_format))
    assert found.c2pa == {
        "present": True,
        "validated": True,
        "validation_state": "Valid",
        "signed_by": "Test signer",
        "claim_generator": "Test program",
        "digital_source_type": "trainedAlgorithmicMedia",
    }
    assert found.generator == "Adobe Firefly"
    assert found.digital_source_type == "trainedAlgorithmicMedia"
    assert (found.camera or {}).get("make") == (None if file_format == "GIF" else CAMERA["make"])
    assert not [secret for secret in SECRETS if secret in json.dumps(found.to_json())]


def test_changed_pixels_make_a_manifest_invalid() -> None:
    data = bytearray(signed("JPEG"))
    data[-20] ^= 1
    found = read_provenance(bytes(data))
    assert found.c2pa is not None
    assert found.c2pa["validation_state"] == "Invalid"
    assert found.generator is None


def test_damaged_manifests_raise_nothing_and_are_quick() -> None:
    data = signed("JPEG")
    begun = time.monotonic()
    for seed in range(60):
        read_provenance(data[: random.Random(seed).randrange(len(data))])
        read_provenance(flipped(data, seed))
    assert time.monotonic() - begun < 5
