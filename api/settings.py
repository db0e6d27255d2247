"""The service's settings: typed, bounded, read from `CIFAKE_*` environment variables."""

import os
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model import SHIPPED

MIB = 1 << 20


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message is one sentence for each."""


class Settings(BaseSettings):
    """The environment variable of each is `CIFAKE_` and its name in capitals; the README has the same
    table."""

    model_config = SettingsConfigDict(
        env_prefix="CIFAKE_", frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=()
    )

    bind: str = Field("127.0.0.1:8000", min_length=1, description="address and port to listen on")
    workers: int = Field(
        0,
        ge=0,
        le=1024,
        description="processes, each with a model of its own; 0: one a processor, or one on a GPU",
    )
    threads: int = Field(
        32,
        ge=1,
        le=1024,
        description="requests that a worker takes at once; the model answers them in batches",
    )
    model: str = Field(str(SHIPPED), min_length=1, description="checkpoint to serve")
    device: str = Field("auto", description="`auto` (CUDA, then MPS, then CPU) or a torch device")
    engine: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="`auto` (OpenVINO on a CPU, torch on a GPU), `openvino` or `torch`"
    )
    precision: Literal["auto", "f32", "bf16", "int8"] = Field(
        "auto",
        description="`auto` (int8 on a CPU, bf16 on a GPU, where the checkpoint's record allows it; else "
        "f32), `f32`, `bf16` or `int8`",
    )
    batch_size: int = Field(32, ge=1, le=4096, description="most pictures that go through the model at once")
    queue_size: int = Field(
        256, ge=1, description="most requests that wait for a thread in a worker; one more is answered 429"
    )
    deadline_seconds: float = Field(
        30,
        gt=0,
        le=3600,
        description="time that a picture's answer may take, its upload included; after it 504",
    )
    stall_seconds: float = Field(
        10, gt=0, le=3600, description="longest pause in a request's upload; after it the answer is 408"
    )
    upload_seconds: float = Field(
        300, gt=0, le=86400, description="time that a batch's upload may take; after it the answer is 504"
    )
    output_dir: str = Field("outputs", min_length=1, description="folder that batches write to")
    max_image_bytes: int = Field(10 * MIB, ge=1, description="largest picture file")
    max_image_pixels: int = Field(25_000_000, ge=1, description="most pixels of a picture")
    max_batches: int = Field(
        0,
        ge=0,
        description="batches that a worker works on at once; 0: a quarter of its threads; one more is 429",
    )
    max_batch_bytes: int = Field(256 * MIB, ge=1, description="largest batch upload")
    max_batch_files: int = Field(20_000, ge=1, description="most files of a batch")
    max_batch_pixels: int = Field(
        1_000_000_000, ge=1, description="most pixels of a batch's pictures together"
    )
    max_batch_seconds: float = Field(
        300,
        gt=0,
        le=86400,
        description="time that a batch may take after its upload; after it the answer is 504",
    )
    max_unpacked_bytes: int = Field(1024 * MIB, ge=1, description="most bytes an archive may unpack to")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for part, whole in (
            ("max_image_bytes", "max_batch_bytes"),
            ("max_image_bytes", "max_unpacked_bytes"),
            ("max_image_pixels", "max_batch_pixels"),
            ("max_batches", "threads"),
        ):
            if getattr(self, part) > getattr(self, whole):
                raise ValueError(
                    f"CIFAKE_{part.upper()} ({getattr(self, part)}) must not be above "
                    f"CIFAKE_{whole.upper()} ({getattr(self, whole)})"
                )
        return self

    @property
    def batches(self) -> int:
        """Batches that a worker works on at once."""
        return self.max_batches or max(1, self.threads // 4)


def load_settings(**values: Any) -> Settings:
    """The settings: `values` by name, then the environment's, then the defaults.

    Raises SettingsError, also for a variable of the environment that is a misspelt setting.
    """
    for name in unknown_variables():
        if similar := get_close_matches(name, _variables(), 1, cutoff=0.85):
            raise SettingsError(f"{name} is not a setting: did you mean {similar[0]}?")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(one) for one in error.errors())) from None


def unknown_variables() -> list[str]:
    """The variables of the environment that begin as settings do and are none.

    Without those that Kubernetes sets for a service of the name `cifake`, and CIFAKE_DATA, which tests read.
    """
    known = {*_variables(), "CIFAKE_DATA"}
    given = [name for name in os.environ if name.startswith("CIFAKE_") and name not in known]
    return sorted(name for name in given if not name.startswith(("CIFAKE_PORT", "CIFAKE_SERVICE_")))


def _variables() -> list[str]:
    return [f"CIFAKE_{name.upper()}" for name in Settings.model_fields]


def _sentence(error: Any) -> str:
    if not error["loc"]:  # settings that do not fit together
        return str(error["msg"]).removeprefix("Value error, ")
    return f"CIFAKE_{str(error['loc'][0]).upper()}={error['input']}: {error['msg']}"
