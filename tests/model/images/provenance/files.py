"""Files with the metadata of cameras and generators."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image, PngImagePlugin, features
from PIL.TiffImagePlugin import IFDRational

SECRETS = (
    "PROMPTSECRET",
    "SERIALSECRET",
    "OWNERSECRET",
    "PLACESECRET",
    "NEGATIVESECRET",
    "48.8584",
    "9f8e7d6c",
)
STEPS = (
    "PROMPTSECRET cat\nNegative prompt: NEGATIVESECRET\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: v1"
)
GRAPH = '{"3": {"inputs": {"text": "PROMPTSECRET"}, "class_type": "KSampler"}}'
WORKFLOW = '{"last_node_id": 9, "nodes": [{"widgets_values": ["PROMPTSECRET"]}], "links": []}'
MIDJOURNEY = "PROMPTSECRET --v 6 Job ID: 9f8e7d6c-1b0e-483c-9297-5828877ec481"
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAPTURE = "https://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def image(side: int = 32) -> Image.Image:
    return Image.effect_mandelbrot((side, side), (-2, -1, 1, 1), 20).convert("RGB")


def encoded(file_format: str, side: int = 32, **options: Any) -> bytes:
    file = io.BytesIO()
    image(side).save(file, file_format, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def png(*chunks: bytes) -> bytes:
    """A PNG with these chunks after its header."""
    data = encoded("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def png_texts(compressed: bool = False, **texts: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key.replace("__", " "), text, zip=compressed)
    return encoded("PNG", pnginfo=info)


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with these segments (marker, content) after its start."""
    data = encoded("JPEG")
    each = [bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments]
    return data[:2] + b"".join(each) + data[2:]


def xmp(inside: str = "", attributes: str = "", prefix: str = "Iptc4xmpExt") -> bytes:
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
        <x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
        <rdf:Description rdf:about="" xmlns:{prefix}="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
        xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
        xmlns:xmp="http://ns.adobe.com/xap/1.0/" {attributes}>{inside}
        <dc:creator><rdf:Seq><rdf:li>OWNERSECRET</rdf:li></rdf:Seq></dc:creator>
        </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


def user_comment(text: str, encoding: str = "utf-16-be") -> bytes:
    return (b"UNICODE\0" if encoding.startswith("utf-16") else b"ASCII\0\0\0") + text.encode(encoding)


def exif(
    make: str = "NIKON CORPORATION", model: str = "NIKON Z 6_2", comment: bytes = b"", **texts: str
) -> Image.Exif:
    """Of a camera, with what must not be in an answer: its serial number, owner and place."""
    tags = Image.Exif()
    names = {"software": 0x0131, "description": 0x010E}
    tags.update({0x010F: make, 0x0110: model, 0x013B: "OWNERSECRET", 0x8298: "OWNERSECRET"})
    tags.update({names[name]: text for name, text in texts.items()})
    inner = tags.get_ifd(0x8769)
    inner.update({0x829A: IFDRational(1, 250), 0x829D: IFDRational(28, 10), 0x8827: 400})
    inner[0x920A] = IFDRational(50)
    inner.update({0xA431: "SERIALSECRET", 0xA435: "SERIALSECRET", 0xA430: "OWNERSECRET"})
    if comment:
        inner[0x9286] = comment
    tags.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.24), 0x1B: b"PLACESECRET"})
    return tags


CAMERA = {
    "make": "NIKON CORPORATION",
    "model": "NIKON Z 6_2",
    "exposure": {"time": 0.004, "f_number": 2.8, "iso": 400, "focal_length": 50.0},
}
JUMBF = b"\0\0\0\x2ejumb\0\0\0\x1ejumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0\0\0\0\x08free"
FILES: dict[str, Callable[[], bytes]] = {
    "automatic1111.png": lambda: png_texts(parameters=STEPS),
    "automatic1111.jpeg": lambda: encoded("JPEG", exif=exif("", "", user_comment(STEPS))),
    "automatic1111.webp": lambda: encoded("WEBP", exif=exif("", "", user_comment(STEPS, "utf-16-le"))),
    "comfyui.png": lambda: png_texts(prompt=GRAPH, workflow=WORKFLOW),
    "comfyui.webp": lambda: encoded("WEBP", exif=exif(f"workflow:{WORKFLOW}", f"prompt:{GRAPH}")),
    "midjourney.png": lambda: png(
        chunk(b"tEXt", b"Description\0" + MIDJOURNEY.encode()),
        chunk(b"tEXt", b"Author\0OWNERSECRET"),
        chunk(
            b"iTXt",
            b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(attributes=f'Iptc4xmpExt:DigitalSourceType="{TRAINED}"'),
        ),
    ),
    "iptc.jpeg": lambda: encoded(
        "JPEG", xmp=xmp(f"<ext:DigitalSourceType>{CAPTURE}</ext:DigitalSourceType>", prefix="ext")
    ),
    "camera.jpeg": lambda: encoded("JPEG", exif=exif()),
    "camera.tiff": lambda: exif().tobytes().removeprefix(b"Exif\0\0"),  # Pillow's own TIFF has no exposure
    "stripped.jpeg": lambda: encoded("JPEG"),
    "forged.jpeg": lambda: encoded("JPEG", exif=exif(comment=user_comment(STEPS))),
    "oversized.png": lambda: png_texts(parameters=" " * (2 << 20) + STEPS),
    "c2pa.png": lambda: png(chunk(b"caBX", JUMBF)),
    "xmp.gif": lambda: encoded("GIF").replace(
        b";", b"!\xff\x0bXMP DataXMP" + xmp(attributes='xmp:CreatorTool="Adobe Firefly"') + b"\1\0\0;"
    ),
}
if features.check("avif"):
    FILES["camera.avif"] = lambda: encoded("AVIF", exif=exif(), xmp=xmp())


A1111, SOURCE_TYPE = "Stable Diffusion (AUTOMATIC1111)", "xmp:Iptc4xmpExt:DigitalSourceType"


@cache
def file(name: str) -> bytes:
    return FILES[name]()


def flipped(data: bytes, seed: int) -> bytes:
    chosen, changed = random.Random(seed), bytearray(data)
    for _ in range(chosen.randrange(1, 9)):
        changed[chosen.randrange(min(len(changed), 4096))] = chosen.randrange(256)
    return bytes(changed)
