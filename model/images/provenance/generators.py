"""What metadata of a picture states of its origin: rules for names of generators, XMP, and C2PA's manifests.

The formats, as the programs write them:

- AUTOMATIC1111, and programs that follow it: "parameters" of a PNG, UserComment of Exif, with a line
  "Steps: 20, Sampler: Euler a, ...". Forge adds "Version: f...", SD.Next "App: SD.Next", and Fooocus writes
  "Version: Fooocus ..." or JSON, with "fooocus_scheme" in a PNG and Software in Exif.
- ComfyUI: JSON "prompt" (nodes with a class_type) and "workflow" of a PNG; Make and Model of a WebP's Exif
  ("workflow:{...}", "prompt:{...}"). SwarmUI: JSON with sui_image_params.
- InvokeAI: "invokeai_metadata", "invokeai_graph"; formerly "sd-metadata" and "Dream".
- NovelAI: Software, Title, and Source ("NovelAI Diffusion V4 ...", "Stable Diffusion" and 8 hex digits).
- Midjourney: Description that ends in "Job ID: <UUID>". Draw Things: xmp:CreatorTool. mflux, Easy Diffusion:
  JSON or texts with keys of their own. Google: photoshop:Credit "Made with Google AI".
- Sources: github.com/receyuki/stable-diffusion-prompt-reader, github.com/d3x-at/sd-parsers, and the programs'
  own code. diffusers as a library, Stability's and OpenAI's older files have no text of their own.
- IPTC Photo Metadata Standard 2025.1 (Digital Source Type, AI System Used, Credit Line), and
  http://cv.iptc.org/newscodes/digitalsourcetype/; XMP: ISO 16684-1; C2PA 2.2, section "Actions".
"""

import re
from typing import NamedTuple

MAX_NAME_CHARACTERS = 64

# The last three are retired, and files have them still.
DIGITAL_SOURCE_TYPES = frozenset(
    {
        "digitalCapture",
        "computationalCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "humanEdits",
        "algorithmicallyEnhanced",
        "digitalCreation",
        "dataDrivenMedia",
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "algorithmicMedia",
        "screenCapture",
        "virtualRecording",
        "composite",
        "compositeCapture",
        "compositeSynthetic",
        "minorHumanEdits",
        "softwareImage",
        "digitalArt",
    }
)
GENERATED = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
_SOURCE_TYPE = re.compile(
    r"\s*(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/|digsrctype:)(\w{1,64})/?\s*"
)


class Rule(NamedTuple):
    """A generator's name, the keys of the texts that can name it, and a pattern of what they contain.

    A key is a PNG keyword, an Exif tag, or an XMP property such as "xmp:CreatorTool".
    """

    name: str
    keys: frozenset[str]
    contains: re.Pattern[str]


def _rule(name: str, keys: str, pattern: str) -> Rule:
    return Rule(name, frozenset(keys.split()), re.compile(pattern))


_TOOL = (
    "Software Source OriginatingProgram Make xmp:CreatorTool tiff:Software Iptc4xmpExt:AISystemUsed "
    "softwareAgent"
)
_CREDIT = "Credit photoshop:Credit photoshop:Source Source Software"
_SETTINGS = "parameters UserComment Comment comment ImageDescription exif:UserComment dc:description"
_GRAPH = "prompt workflow Make Model UserComment ImageDescription comment"
_STEPS = r"\bSteps: \d{1,6}, (?:Sampler|Schedule type|CFG scale|Seed|Size|Model)\b"

# The first that applies to any text of a file names its generator: those whose files also contain another's
# text come before it. Each pattern takes time linear in the text.
RULES = (
    _rule("SwarmUI", f"{_SETTINGS} Model", r'"sui_image_params"'),
    _rule("Fooocus", "fooocus_scheme", r"^(?:fooocus|a1111)\b"),
    _rule("Fooocus", f"{_SETTINGS} Software", r'^Fooocus\b|"version": ?"Fooocus|\bVersion: Fooocus\b'),
    _rule("InvokeAI", "invokeai_metadata invokeai_graph invokeai_workflow", r"^\s?\{"),
    _rule("InvokeAI", "sd-metadata", r'"app_id": ?"invoke-ai|"model_weights"'),
    _rule("InvokeAI", "Dream", r"\s-[sS] ?\d"),
    _rule("NovelAI", f"{_TOOL} ImageDescription Title", r"^NovelAI\b"),
    _rule("NovelAI", "Title", r"^AI generated image$"),
    _rule("NovelAI", "Source", r"^Stable Diffusion [0-9A-F]{8}\b"),
    _rule("ComfyUI", _GRAPH, r'"class_type" ?:|"last_node_id" ?:'),
    _rule("ComfyUI", _TOOL, r"\bComfyUI\b"),
    _rule("Easy Diffusion", "use_stable_diffusion_model", r"\S"),
    _rule("Easy Diffusion", _SETTINGS, r'"use_stable_diffusion_model"'),
    _rule("Draw Things", _TOOL, r"^Draw Things\b"),
    _rule("mflux", _SETTINGS, r'"mflux_version"'),
    _rule("Stable Diffusion (SD.Next)", _SETTINGS, r"\bApp: SD\.Next\b"),
    _rule("Stable Diffusion (Forge)", _SETTINGS, r"\bVersion: f\d"),
    _rule("Stable Diffusion (AUTOMATIC1111)", _SETTINGS, _STEPS),
    _rule("Midjourney", "Description ImageDescription dc:description", r"\bJob ID: [0-9a-f]{8}-[0-9a-f]{4}-"),
    _rule("Midjourney", _TOOL, r"\b[Mm]idjourney\b"),
    _rule(
        "DALL·E / ChatGPT (OpenAI)", _TOOL, r"(?i)\bDALL[·.\-_ ]?E\b|\b(?:ChatGPT|OpenAI|GPT-4o|gpt-image)\b"
    ),
    _rule("Adobe Firefly", _TOOL, r"(?i)\bAdobe[ _]Firefly\b"),
    _rule("Google AI", _CREDIT, r"\b(?:Made|Edited|Created) with Google AI\b"),
    _rule("Google AI", _TOOL, r"\bGoogle (?:Generative AI|Gemini|Imagen)\b|^Gemini\b"),
    _rule("Microsoft Designer", _TOOL, r"\bImage Creator\b|\bMicrosoft[ _](?:Responsible[ _]AI|Designer)\b"),
    _rule("Meta AI", f"{_TOOL} {_CREDIT}", r"\bMeta AI\b|^Imagined with AI\b"),
    _rule("Ideogram", _TOOL, r"^Ideogram\b"),
    _rule("Leonardo.Ai", _TOOL, r"(?i)^Leonardo[. ]?AI\b"),
    _rule("FLUX (Black Forest Labs)", _TOOL, r"\bBlack Forest Labs\b|\bFLUX\.[12]"),
    _rule("Grok (xAI)", _TOOL, r"^Grok\b|\bxAI\b"),
    _rule("Stable Diffusion (Stability AI)", _TOOL, r"\bStability[ _]AI\b|\bDreamStudio\b"),
    _rule("Stable Diffusion", _TOOL, r"(?i)\bStable ?Diffusion\b|^diffusers\b"),
)
KEYS = frozenset(key for rule in RULES for key in rule.keys)


def generator_rank(key: str, text: str) -> int | None:
    """The index in RULES of the first one that applies to the text of this key, or None."""
    ranks = (rank for rank, rule in enumerate(RULES) if key in rule.keys and rule.contains.search(text))
    return next(ranks, None)


def digital_source_type(text: str) -> str | None:
    """The name of a concept of IPTC's vocabulary by its URI or QCode; None for every other text."""
    match = _SOURCE_TYPE.fullmatch(text[:256])
    return match[1] if match and match[1] in DIGITAL_SOURCE_TYPES else None
