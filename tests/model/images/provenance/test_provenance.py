import json
import struct
import zlib

import pytest

from model.images.provenance import read_provenance
from tests.model.images.provenance.files import (
    A1111,
    CAMERA,
    FILES,
    GRAPH,
    SECRETS,
    SOURCE_TYPE,
    STEPS,
    TRAINED,
    chunk,
    encoded,
    exif,
    file,
    jpeg,
    png,
    png_texts,
    xmp,
)

EXPOSURE_EVIDENCE = ("exif:ExposureTime", "exif:FNumber", "exif:PhotographicSensitivity", "exif:FocalLength")
STATED: dict[str, tuple[str | None, str | None, tuple[str, ...]]] = {
    "automatic1111.png": (A1111, None, ("png:parameters",)),
    "automatic1111.jpeg": (A1111, None, ("exif:UserComment", *EXPOSURE_EVIDENCE)),
    "automatic1111.webp": (A1111, None, ("exif:UserComment", *EXPOSURE_EVIDENCE)),
    "comfyui.png": ("ComfyUI", None, ("png:prompt", "png:workflow")),
    "comfyui.webp": ("ComfyUI", None, ("exif:Make", "exif:Model", *EXPOSURE_EVIDENCE)),
    "midjourney.png": ("Midjourney", "trainedAlgorithmicMedia", ("png:Description", SOURCE_TYPE)),
    "iptc.jpeg": (None, "digitalCapture", (SOURCE_TYPE,)),
    "camera.jpeg": (None, None, ("exif:Make", "exif:Model", *EXPOSURE_EVIDENCE)),
    "camera.tiff": (None, None, ("exif:Make", "exif:Model", *EXPOSURE_EVIDENCE)),
    "camera.avif": (None, None, ("exif:Make", "exif:Model", *EXPOSURE_EVIDENCE)),
    "stripped.jpeg": (None, None, ()),
    "forged.jpeg": (A1111, None, ("exif:UserComment", "exif:Make", "exif:Model", *EXPOSURE_EVIDENCE)),
    "oversized.png": (None, None, ()),
    "c2pa.png": (None, None, ("c2pa:manifest",)),
    "xmp.gif": ("Adobe Firefly", None, ("xmp:xmp:CreatorTool",)),
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_states_is_found_and_where(name: str) -> None:
    found = read_provenance(file(name))
    assert (found.generator, found.digital_source_type, found.evidence) == STATED[name]
    assert found.complete
    if name.startswith(("camera", "forged")):
        assert found.camera == CAMERA
    elif found.camera:
        assert found.camera["make"] is None
        assert found.camera["model"] is None


@pytest.mark.parametrize("name", FILES)
def test_an_answer_has_no_prompt_owner_place_or_serial_number(name: str) -> None:
    answer = json.dumps(read_provenance(file(name)).to_json())
    assert not [secret for secret in SECRETS if secret in answer]


def test_the_answer_is_json_with_these_fields() -> None:
    assert read_provenance(file("automatic1111.png")).to_json() == {
        "generator": "Stable Diffusion (AUTOMATIC1111)",
        "camera": None,
        "digital_source_type": None,
        "c2pa": None,
        "evidence": ["png:parameters"],
        "complete": True,
    }


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (
            {"parameters": STEPS + ", Version: f2.0.1v1.10.1-previous-665-gae278f79"},
            "Stable Diffusion (Forge)",
        ),
        ({"parameters": STEPS + ", App: SD.Next, Version: 0eb4a98"}, "Stable Diffusion (SD.Next)"),
        ({"parameters": STEPS + ", Version: Fooocus v2.5.5"}, "Fooocus"),
        ({"parameters": '{"prompt": "a", "version": "Fooocus v2.5.5"}'}, "Fooocus"),
        ({"parameters": "{}", "fooocus_scheme": "fooocus"}, "Fooocus"),
        ({"parameters": '{\n"sui_image_params": {"prompt": "a"}}'}, "SwarmUI"),
        ({"parameters": STEPS, "prompt": GRAPH}, "ComfyUI"),
        ({"invokeai_metadata": '{"positive_prompt": "a"}'}, "InvokeAI"),
        ({"sd-metadata": '{"app_id": "invoke-ai/InvokeAI"}'}, "InvokeAI"),
        ({"Dream": '"a cat" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms'}, "InvokeAI"),
        ({"Software": "NovelAI", "Title": "AI generated image", "Description": "a"}, "NovelAI"),
        ({"Source": "Stable Diffusion F1022D28"}, "NovelAI"),
        ({"Source": "NovelAI Diffusion V4.5 4BDE2A90"}, "NovelAI"),
        ({"negative_prompt": "a", "use_stable_diffusion_model": "sd-v1-5"}, "Easy Diffusion"),
        ({"Software": "Midjourney"}, "Midjourney"),
        ({"Software": "OpenAI DALL·E 3"}, "DALL·E / ChatGPT (OpenAI)"),
        ({"Software": "Adobe Firefly"}, "Adobe Firefly"),
        ({"Credit": "Made with Google AI"}, "Google AI"),
        ({"Software": "Stability AI"}, "Stable Diffusion (Stability AI)"),
        ({"Software": "diffusers"}, "Stable Diffusion"),
        ({"Software": "Adobe Photoshop 26.0", "parameters": "a = 1", "Description": "ComfyUI"}, None),
        ({"prompt": "Press a key", "workflow": "{}", "Comment": "Created with GIMP", "Title": "Cat"}, None),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_generators_are_told_by_their_texts(
    texts: dict[str, str], name: str | None, compressed: bool
) -> None:
    found = read_provenance(png_texts(compressed, **texts))
    assert found.generator == name
    assert bool(found.evidence) == (name is not None)


@pytest.mark.parametrize(
    ("inside", "attributes", "stated"),
    [
        ("", f'p:DigitalSourceType="{TRAINED}"', "trainedAlgorithmicMedia"),
        ("", 'p:DigitalSourceType="digsrctype:compositeCapture"', "compositeCapture"),
        (f'<p:DigitalSourceType rdf:resource="{TRAINED}"/>', "", "trainedAlgorithmicMedia"),
        (f"<p:DigitalSourceType>\n {TRAINED}\n</p:DigitalSourceType>", "", "trainedAlgorithmicMedia"),
        (f"<p:DigitalSourceFileType>{TRAINED}</p:DigitalSourceFileType>", "", "trainedAlgorithmicMedia"),
        ("", f'p:DigitalSourceType="{TRAINED}X"', None),
        ("", 'p:DigitalSourceType="PROMPTSECRET"', None),
        ("", f'xmp:DigitalSourceType="{TRAINED}"', None),
    ],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_digital_source_type_is_one_of_iptcs(
    inside: str, attributes: str, stated: str | None, file_format: str
) -> None:
    packet = xmp(inside, attributes, prefix="p")
    if file_format == "PNG":
        data = png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)))
    elif file_format == "TIFF":
        data = encoded("TIFF", tiffinfo={700: packet})
    else:
        data = encoded(file_format, xmp=packet)
    assert read_provenance(data).digital_source_type == stated


def test_google_s_credit_is_read_of_xmp_and_iptc() -> None:
    credit = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x18\x1c\x02\x6e\0\x13Made with Google AI"
    assert read_provenance(jpeg((0xED, credit))).evidence == ("iptc:Credit",)
    in_xmp = xmp("<photoshop:Credit>Made with Google AI</photoshop:Credit>")
    assert read_provenance(encoded("WEBP", xmp=in_xmp)).evidence == ("xmp:photoshop:Credit",)
    assert read_provenance(jpeg((0xED, credit))).generator == "Google AI"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        ("Canon", True),
        ("SAMSUNG TECHWIN CO., LTD.", True),
        ("Phase One A/S", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("one two three four five six seven eight nine", False),
        ('{"prompt": "PROMPTSECRET"}', False),
        ("Canon\x1b[31m", False),
    ],
)
def test_a_camera_s_make_is_a_short_name(make: str, named: bool) -> None:
    camera = read_provenance(encoded("JPEG", exif=exif(make=make))).camera
    assert camera is not None
    assert camera["make"] == (make if named else None)


@pytest.mark.parametrize("value", [(0, 1), (1, 0), (0, 0)])
def test_an_exposure_that_is_no_number_is_none(value: tuple[int, int]) -> None:
    tags = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLLL", 0x829A, 5, 1, 26, 0) + struct.pack("<LL", *value)
    assert read_provenance(jpeg((0xE1, b"Exif\0\0" + tags))).camera is None
