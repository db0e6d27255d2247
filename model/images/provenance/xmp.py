"""XMP (ISO 16684-1): the properties of a packet that tell where a picture comes from, read within limits."""

from contextlib import suppress
from xml.parsers import expat

from model.images.provenance.generators import KEYS

MAX_XMP_BYTES = 1 << 20
MAX_XMP_ELEMENTS = 20_000  # Photoshop's history of a picture has hundreds
MAX_PROPERTY_CHARACTERS = 1 << 16

_PREFIXES = {
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
}
SOURCE_TYPE_PROPERTIES = (
    "Iptc4xmpExt:DigitalSourceType",
    "Iptc4xmpExt:DigitalSourceFileType",  # as Google writes it
    "Iptc4xmpExt:DigitalSourcefileType",  # until 2010
)
_PROPERTIES = {*SOURCE_TYPE_PROPERTIES, *(key for key in KEYS if ":" in key)}


class _StopError(Exception):
    """The packet has a document type declaration, or too many elements."""


def read_xmp(packet: bytes) -> dict[str, str]:
    """Texts of the properties of an XMP packet that name its origin, as attributes or elements.

    A document type declaration, and with it every entity of its own, ends the reading, as do MAX_XMP_BYTES,
    MAX_XMP_ELEMENTS, and XML that is not well-formed; the properties before are given.
    """
    reader = _XmpReader()
    with suppress(expat.ExpatError, _StopError, ValueError, LookupError):  # the last two: of an encoding
        reader.parser.Parse(packet[:MAX_XMP_BYTES].rstrip(b"\0"), True)
    return reader.properties


class _XmpReader:
    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add
        self._open: str | None = None  # the property whose element is being read
        self._texts: list[str] = []
        self._room = self._elements = 0

    def _refuse(self, *_: object) -> None:
        raise _StopError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_XMP_ELEMENTS:
            raise _StopError
        for attribute, value in attributes.items():
            self._keep(_short(attribute), value)
        if self._open is None and _short(name) in _PROPERTIES:
            self._open, self._texts, self._room = _short(name), [], MAX_PROPERTY_CHARACTERS
        if self._open is not None:
            self._add(attributes.get("http://www.w3.org/1999/02/22-rdf-syntax-ns# resource", ""))

    def _add(self, text: str) -> None:
        if self._open is not None and self._room > 0:
            self._texts.append(text[: self._room])
            self._room -= len(text)

    def _end(self, name: str) -> None:
        if self._open is not None and _short(name) == self._open:
            self._keep(self._open, "".join(self._texts))
            self._open = None

    def _keep(self, name: str, text: str) -> None:
        if name in _PROPERTIES and text.strip():
            self.properties.setdefault(name, text[:MAX_PROPERTY_CHARACTERS].strip())


def _short(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    return f"{_PREFIXES.get(namespace, '')}:{local}"
