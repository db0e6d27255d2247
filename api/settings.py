"""Settings of the service, read from `CIFAKE_*` environment variables and validated."""

import os
import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from limits import parse_many
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from model import SHIPPED

MIB = 1 << 20
ORIGIN = re.compile(r" *https?://[a-z0-9.-]+(:[0-9]{1,5})? *", re.IGNORECASE)

Text = Annotated[str, Field(min_length=1)]
PositiveInt = Annotated[int, Field(ge=1)]
UpToHour = Annotated[float, Field(gt=0, le=3600)]  # seconds
UpToDay = Annotated[float, Field(gt=0, le=86400)]


def _digest(text: str) -> str:
    if text != "any" and not re.fullmatch("[0-9a-f]{12,64}", text.lower()):
        raise PydanticCustomError("digest", "Input should be 12 to 64 hex digits, or any")
    return text.lower()


def _rate_limit(text: str) -> str:
    if text != "none":
        try:
            limits = parse_many(text)
        except ValueError:
            limits = []
        if not limits or not all(limit.amount for limit in limits):
            raise PydanticCustomError("rate_limit", "Input should be such as 600/minute, or none")
    return text


def _origins(text: str) -> str:
    if text not in ("none", "*") and not all(map(ORIGIN.fullmatch, text.split(","))):
        raise PydanticCustomError(
            "origins",
            "Input should be origins such as https://example.org with commas, or * or none",
        )
    return text


DigestPrefix = Annotated[Literal["any"] | str, AfterValidator(_digest)]
RateLimit = Annotated[Literal["none"] | str, AfterValidator(_rate_limit)]
Origins = Annotated[Literal["none"] | str, AfterValidator(_origins)]


class SettingsError(ValueError):
    """A setting is unknown or has an invalid value; the message has one sentence for each."""


class Settings(BaseSettings):
    """Each setting is the environment variable `CIFAKE_` + its name in capitals; see api/README.md."""

    model_config = SettingsConfigDict(
        env_prefix="CIFAKE_", frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=()
    )

    bind: Text = Field(
        "127.0.0.1:8000",
        description="address and port to listen on, or several with commas between them; `[::]:8000` is all "
        "of IPv6 and IPv4, `unix:PATH` a socket file",
    )
    metrics_bind: Text = Field(
        "same",
        description="address and port where `/metrics` and nothing else is answered, and only there; `same`: "
        "`/metrics` is one of the service's routes",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`text` or `json`, with an object a line: [the log](#the-log)"
    )
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
    model_sha256: DigestPrefix = Field(
        "any",
        description="SHA-256 that the checkpoint's file must have, or its first 12 or more hex digits",
    )
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
    keepalive_seconds: int = Field(
        75,
        ge=0,
        le=3600,
        description="time that an idle connection is kept open after an answer; it should be longer than the "
        "proxy in front keeps it (60 for AWS's ALB and nginx); 0: one request a connection",
    )
    drain_delay_seconds: float = Field(
        0,
        ge=0,
        le=3600,
        description="time after SIGTERM in which `/readyz` is 503 and everything else is still served, so "
        "that a load balancer takes notice",
    )
    drain_seconds: int = Field(
        30, ge=1, le=3600, description="time that accepted requests have to end, after that delay"
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=16,
        description="number of proxies in front, whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` "
        "are believed",
    )
    keys_file: Text = Field(
        "none",
        description="file of [API keys](#api-keys), without one of which requests are answered 401; `none`: "
        "everybody may use the service",
    )
    rate_limit: RateLimit = Field(
        "none",
        description="most requests of each key or, without one, client address, such as `600/minute` or "
        "`10/second; 600/minute`; one more is answered 429",
    )
    cors_origins: Origins = Field(
        "none",
        description="origins whose web pages may use the service, such as `https://example.org`, with commas "
        "between them; `*`: all",
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
    max_job_files: PositiveInt = Field(120_000, description="most files of an archive that a job works on")
    max_jobs: PositiveInt = Field(100, description="most jobs that wait or run; one more is 429")
    max_jobs_bytes: PositiveInt = Field(
        10 * 1024 * MIB, description="most bytes that the jobs' uploads and results take on the disk"
    )
    job_days: float = Field(
        7, gt=0, le=3650, description="time that a job's result is kept after its end, in days"
    )

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
