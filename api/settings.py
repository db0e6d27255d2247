"""The service's settings: one table, read from `CIFAKE_*` environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Config

from model import SHIPPED

PREFIX = "CIFAKE"
MIB = 1 << 20


@dataclass(frozen=True)
class Setting:
    """One setting. Its environment variable is `CIFAKE_` and its name; its type is the default's.

    least: the smallest number it may be.
    """

    name: str
    default: int | str
    help: str
    least: int = 1


SETTINGS = (
    Setting("BIND", "127.0.0.1:8000", "address and port to listen on"),
    Setting("WORKERS", 0, "processes, each with a model of its own; 0: one a processor, or one on a GPU", 0),
    Setting("THREADS", 32, "requests that a worker takes at once; the model answers them in batches"),
    Setting("MODEL", str(SHIPPED), "checkpoint to serve"),
    Setting("DEVICE", "auto", "`auto` (CUDA, then MPS, then CPU) or a torch device"),
    Setting("ENGINE", "auto", "`auto` (OpenVINO on a CPU, torch on a GPU), `openvino` or `torch`"),
    Setting("PRECISION", "auto", "`auto` (the fastest that answers as well as f32), `f32`, `bf16` or `int8`"),
    Setting("CACHE_DIR", "", "folder for the engine's files; empty: `cifake` in the user's own cache"),
    Setting("BATCH_SIZE", 32, "most pictures that go through the model at once"),
    Setting("QUEUE_SIZE", 1024, "most pictures that wait for it; one more is answered 429"),
    Setting("DEADLINE_SECONDS", 30, "time that a picture's answer may take; after it the answer is 504"),
    Setting("OUTPUT_DIR", "outputs", "folder that batches write to"),
    Setting("MAX_IMAGE_BYTES", 10 * MIB, "largest picture file"),
    Setting("MAX_IMAGE_PIXELS", 25_000_000, "most pixels of a picture"),
    Setting("MAX_BATCH_BYTES", 256 * MIB, "largest batch upload"),
    Setting("MAX_BATCH_FILES", 20_000, "most files of a batch"),
    Setting("MAX_UNPACKED_BYTES", 1024 * MIB, "most bytes an archive may unpack to"),
)


class SettingsError(ValueError):
    """A setting has a value that cannot be used."""


def load_settings(config: Config, overrides: Mapping[str, Any]) -> None:
    """Fill `config`: defaults, then the environment, then `overrides`.

    Raises SettingsError for a value of the wrong type, or a number that is too small.
    """
    config.from_mapping({setting.name: setting.default for setting in SETTINGS})
    config.from_prefixed_env(PREFIX)
    config.from_mapping(overrides)
    for setting in SETTINGS:
        value = config[setting.name]
        if isinstance(setting.default, int):
            if type(value) is not int or value < setting.least:
                raise SettingsError(
                    f"{PREFIX}_{setting.name} must be a whole number from {setting.least}, not {value!r}"
                )
        else:
            config[setting.name] = str(value)  # from_prefixed_env reads a folder named 2025 as a number
