"""Provenance: what a picture file states of its origin, read within limits of bytes, parts and time.

Statements, not proof: metadata can be removed, copied and forged, and a file without any says nothing. Only a
C2PA signature binds statements to the pixels, and anyone can make a certificate that names any signer: as no
trust list is loaded, its state is "Valid" at best.

Read are the metadata of JPEG, PNG, WebP and TIFF, and of GIF, AVIF and HEIF what lies in them uncompressed.
"""

import math
import re
import time
from dataclasses import asdict, dataclass
from typing import Any

from model.images.png import MAX_TEXT_BYTES
from model.images.provenance import exif, generators
from model.images.provenance.blocks import Block, LimitError, read_blocks
from model.images.provenance.c2pa import ManifestError, read_manifests, read_store
from model.images.provenance.generators import MAX_NAME_CHARACTERS, digital_source_type
from model.images.provenance.xmp import SOURCE_TYPE_PROPERTIES, read_xmp

MAX_FILE_BYTES = 4 << 20  # of all texts, XMP and Exif of a file
C2PA_SECONDS = 3.0

_CAMERA_NAME = re.compile(r"\w[\w.,+&'()/\-]*(?: +[\w.,+&'()/\-]+){0,7}")


@dataclass(frozen=True)
class Provenance:
    """What a file states of its origin; contradictory statements are given side by side.

    generator: a name of generators.RULES. digital_source_type: a name of generators.DIGITAL_SOURCE_TYPES, by
    XMP, or else by a C2PA manifest that is valid.
    camera: make, model, and exposure: time (s), f_number, iso, focal_length (mm); each may be None.
    c2pa: None without a manifest; else present and validated, with validation_state, signed_by,
    claim_generator and digital_source_type if it was read, and the reason if it was not or is not valid.
    evidence: where each of these was found, such as "png:parameters"; never the text itself.
    complete: False if a limit, the deadline or damaged metadata ended the reading.
    """

    generator: str | None = None
    camera: dict[str, Any] | None = None
    digital_source_type: str | None = None
    c2pa: dict[str, Any] | None = None
    evidence: tuple[str, ...] = ()
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """The fields, of types that JSON has."""
        return {**asdict(self), "evidence": list(self.evidence)}


def read_provenance(data: bytes, deadline: float = math.inf) -> Provenance:
    """Read the metadata of an image file. Raises nothing for any bytes; the pixels are not decoded.

    deadline: a time of time.monotonic(), after which no further block is read.

    Not looked at: places, serial numbers, names of owners and authors. Not returned: prompts, or any text of
    the file but make and model of a camera, and the names that a C2PA manifest gives its signer and program.
    """
    statements = _Statements(deadline)
    try:
        for block in read_blocks(data):
            statements.add(block)
    except Exception:  # LimitError, or a structure that is damaged in a way not provided for
        statements.complete, statements.ended = False, True
    statements.add_c2pa(data)
    return statements.provenance()


class _Statements:
    """Collects what the parts of one file state."""

    def __init__(self, deadline: float) -> None:
        self.complete, self.ended = True, False
        self._deadline = deadline
        self._bytes = 0
        self._manifest: list[bytes] = []
        self._rank = len(generators.RULES)
        self._names: dict[str, str] = {}
        self._exposure: dict[str, float] = {}
        self._source_type: str | None = None
        self._c2pa: dict[str, Any] | None = None
        self._evidence: dict[str, None] = {}  # in order

    def provenance(self) -> Provenance:
        camera: dict[str, Any] | None = None
        if self._names or self._exposure:
            camera = {name: self._names.get(name) for name in ("make", "model")}
            camera["exposure"] = {name: self._exposure.get(name) for name, _ in exif.EXPOSURE_TAGS.values()}
        name = generators.RULES[self._rank].name if self._rank < len(generators.RULES) else None
        evidence = tuple(self._evidence)
        return Provenance(name, camera, self._source_type, self._c2pa, evidence, self.complete)

    def add(self, block: Block) -> None:
        """Raises LimitError if the parts so far have too many bytes, or the deadline has passed."""
        if block.kind == "c2pa":
            self._add_manifest(block.data)
            return
        self._bytes += min(len(block.data), MAX_TEXT_BYTES)
        if self._bytes > MAX_FILE_BYTES or time.monotonic() > self._deadline:
            raise LimitError
        try:
            if block.kind == "damaged":
                self.complete = False
            elif block.kind == "xmp":
                self._add_xmp(block.data)
            elif block.kind == "exif":
                self._add_exif(block.data.removeprefix(b"Exif\0\0"))
            else:
                self._add_text(block.place, block.data.decode(errors="replace"))
        except Exception:  # this part is damaged; the others may not be
            self.complete = False

    def _add_manifest(self, data: bytes) -> None:
        self._manifest.append(data)
        self._evidence["c2pa:manifest"] = None

    def _add_text(self, place: str, text: str) -> bool:
        """Whether it names a generator."""
        rank = generators.generator_rank(place.partition(":")[2], text.strip("\0 "))
        if rank is None:
            return False
        self._rank = min(self._rank, rank)
        self._evidence[place] = None
        return True

    def _add_xmp(self, packet: bytes) -> None:
        for name, text in read_xmp(packet).items():
            self._add_text(f"xmp:{name}", text)
            source_type = digital_source_type(text)
            if name in SOURCE_TYPE_PROPERTIES and source_type:
                self._source_type = self._source_type or source_type
                self._evidence[f"xmp:{name}"] = None

    def _add_exif(self, block: bytes) -> None:
        order, tags = exif.read_tags(block)
        for tag, key in exif.TEXT_TAGS.items():
            self._add_text(f"exif:{key}", exif.text(tags.get(tag)))
        self._add_text("exif:UserComment", exif.user_comment(tags.get(exif.USER_COMMENT), order))
        for tag, key in ((exif.MAKE, "Make"), (exif.MODEL, "Model")):
            name = exif.text(tags.get(tag))
            if self._add_text(f"exif:{key}", name) or len(name) > MAX_NAME_CHARACTERS:
                continue
            if _CAMERA_NAME.fullmatch(name):
                self._names.setdefault(key.lower(), name)
                self._evidence[f"exif:{key}"] = None
        for tag, (field, key) in exif.EXPOSURE_TAGS.items():
            value = exif.number(tags.get(tag), order)
            if value and field not in self._exposure:
                self._exposure[field] = value
                self._evidence[f"exif:{key}"] = None
        if exif.C2PA in tags:
            self._add_manifest(tags[exif.C2PA][1])
        if exif.XMP in tags:
            self._add_xmp(tags[exif.XMP][1])

    def add_c2pa(self, data: bytes) -> None:
        if "c2pa:manifest" not in self._evidence:
            return
        self._c2pa = {"present": True, "validated": False}
        try:
            if self.ended:
                raise ManifestError("the metadata of the file is over a limit")
            seconds = min(C2PA_SECONDS, self._deadline - time.monotonic())
            state, store = read_store(data, b"".join(self._manifest), seconds)
            signed_by, program, source_type, rank = read_manifests(store)
        except ManifestError as error:
            self._c2pa["reason"] = str(error)
            return
        except Exception:  # c2pa-python's own errors, and a manifest of another form
            self._c2pa["reason"] = "the manifest is damaged"
            return
        valid = state in ("Valid", "Trusted")
        self._c2pa |= {"validated": valid, "validation_state": state, "signed_by": signed_by}
        self._c2pa |= {"claim_generator": program, "digital_source_type": source_type}
        if not valid:
            self._c2pa["reason"] = "its signature, its certificate or a hash is not valid"
            return
        if source_type:
            self._source_type = self._source_type or source_type
            self._evidence["c2pa:digitalSourceType"] = None
        if rank is not None:
            self._rank = min(self._rank, rank)
            self._evidence["c2pa:softwareAgent"] = None
