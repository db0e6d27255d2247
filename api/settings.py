"""Settings of the service, read from `CIFAKE_*` environment variables and validated."""

import os
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model import SHIPPED

MIB = 1 << 20

Text = Annotated[str, Field(min_length=1)]
PositiveInt = Annotated[int, Field(ge=1)]
UpToHour = Annotated[float, Field(gt=0, le=3600)]  # seconds
UpToDay = Annotated[float, Field(gt=0, le=86400)]


class SettingsError(ValueError):
    """A setting is unknown or has an invalid value; the message has one sentence for each."""


class Settings(BaseSettings):
    """Each setting is the environment variable `CIFAKE_` + its name in capitals; see api/README.md."""

    model_config = SettingsConfigDict(
        env_prefix="CIFAKE_", frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=()
    )

    bind: Text = Field("127.0.0.1:8000", description="address and port to listen on")
    workers: int = Field(
        0,
        ge=0,
        le=1024,
        description="processes, each with a model of its own; 0: one a processor, fewer where the container "
        "has less than 560 MB of memory for each, or one on a GPU",
    )
    threads: int = Field(
        32,
        ge=1,
        le=1024,
        description="requests that a worker takes at once; the model answers them in batches",
    )
    model: Text = Field(str(SHIPPED), description="checkpoint to serve")
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
    queue_size: PositiveInt = Field(
        256, description="most requests that wait for a thread in a worker; one more is answered 429"
    )
    deadline_seconds: UpToHour = Field(
        30, description="time that a picture's answer may take, its upload included; after it 504"
    )
    stall_seconds: UpToHour = Field(
        10, description="longest pause in a request's upload; after it the answer is 408"
    )
    upload_seconds: UpToDay = Field(
        300, description="time that a batch's upload may take; after it the answer is 504"
    )
    output_dir: Text = Field("outputs", description="folder that batches write to")
    max_image_bytes: PositiveInt = Field(10 * MIB, description="largest picture file")
    max_image_pixels: PositiveInt = Field(25_000_000, description="most pixels of a picture")
    max_batches: int = Field(
        0,
        ge=0,
        description="batches that a worker works on at once; 0: a quarter of its threads; one more is 429",
    )
    max_batch_bytes: PositiveInt = Field(256 * MIB, description="largest batch upload")
    max_batch_files: PositiveInt = Field(20_000, description="most files of a batch")
    max_batch_pixels: PositiveInt = Field(
        1_000_000_000, description="most pixels of a batch's pictures together"
    )
    max_batch_seconds: UpToDay = Field(
        300, description="time that a batch may take after its upload; after it the answer is 504"
    )
    max_unpacked_bytes: PositiveInt = Field(1024 * MIB, description="most bytes an archive may unpack to")

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        for smaller, larger in (
            ("max_image_bytes", "max_batch_bytes"),
            ("max_image_bytes", "max_unpacked_bytes"),
            ("max_image_pixels", "max_batch_pixels"),
            ("max_batches", "threads"),
        ):
            if getattr(self, smaller) > getattr(self, larger):
                raise ValueError(
                    f"CIFAKE_{smaller.upper()} ({getattr(self, smaller)}) must not be above "
                    f"CIFAKE_{larger.upper()} ({getattr(self, larger)})"
                )
        return self

    @property
    def batch_slots(self) -> int:
        """Number of batches that a worker processes concurrently."""
        return self.max_batches or max(1, self.threads // 4)


def load_settings(**values: Any) -> Settings:
    """Settings from `values`, then the environment, then the defaults.

    Raises SettingsError, also for an environment variable that looks like a misspelt setting.
    """
    for name in unknown_variables():
        if similar := get_close_matches(name, _variable_names(), 1, cutoff=0.85):
            raise SettingsError(f"{name} is not a setting: did you mean {similar[0]}?")
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_error_message(details) for details in error.errors())) from None


def unknown_variables() -> list[str]:
    """Environment variables that start with `CIFAKE_` but are not settings.

    Excludes those that Kubernetes sets for a service named `cifake`, and CIFAKE_DATA, which the tests use.
    """
    known = {*_variable_names(), "CIFAKE_DATA"}
    found = [name for name in os.environ if name.startswith("CIFAKE_") and name not in known]
    return sorted(name for name in found if not name.startswith(("CIFAKE_PORT", "CIFAKE_SERVICE_")))


def _variable_names() -> list[str]:
    return [f"CIFAKE_{name.upper()}" for name in Settings.model_fields]


def _error_message(error: Any) -> str:
    if not error["loc"]:  # raised by _check_consistency
        return str(error["msg"]).removeprefix("Value error, ")
    return f"CIFAKE_{str(error['loc'][0]).upper()}={error['input']}: {error['msg']}"
