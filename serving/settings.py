"""The gateway's settings, in order of precedence: flags, environment (`KERAS_ARCHS_*`), the defaults below."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from keras_archs.images.decoding import DEFAULT_MAX_PIXELS
from keras_archs.repository.artifact import CONVERSION_CACHE
from keras_archs.runtimes.machine import usable_cores, usable_memory

PREFIX = "KERAS_ARCHS_"
OF_THE_LIBRARY = {f"{PREFIX}{name}" for name in ("WEIGHTS", "OFFLINE", "MIRROR")}
"""Variables of `keras_archs.weights.download`, which are no settings of the gateway and may be set beside them."""


class Settings(BaseSettings):
    """All settings of the gateway. Each has an environment variable: `KERAS_ARCHS_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    repository: Path = Field(Path("models"), description="Folder of the model repository.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free port.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    engine: Literal["embedded", "tf-serving"] = Field(
        "embedded", description="Where models run: in this process, or on TensorFlow Serving."
    )
    backend: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="TensorFlow Serving, host:port of gRPC (comma-separated); each address of a host is a server."
    )
    backend_ca: Path | None = Field(None, description="PEM file of the backends' certificate authority; turns TLS on.")
    backend_certificate: Path | None = Field(None, description="PEM file of the gateway's certificate, for mutual TLS.")
    backend_key: Path | None = Field(None, description="PEM file of that certificate's private key.")
    backend_message_mb: float = Field(64.0, gt=0, description="Largest response of a backend, in MB.")

    runtime: Literal["openvino", "tensorflow"] = Field(
        "openvino", description="Inference library of the embedded engine."
    )
    precision: Literal["f32", "bf16", "auto"] = Field("f32", description="Arithmetic of the OpenVINO runtime.")
    threads: int = Field(
        default_factory=usable_cores,
        ge=1,
        description="Threads for inference in this process; default: the cores that the process may use, also by the "
        "limits of its container.",
    )
    streams: int = Field(
        default_factory=lambda given: given.get("threads", 1),
        ge=1,
        description="Images that OpenVINO computes in parallel; default: threads.",
    )
    workers: int = Field(
        default_factory=lambda given: 2 * given.get("threads", 1),
        ge=1,
        description="Decoding threads; the embedded engine has as many inference threads. Default: twice `threads`.",
    )
    cache_dir: Path | None = Field(None, description="Cache of converted models; default: <repository>/.cache.")
    preload: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models to load before the gateway is ready (comma-separated); other models load on first use."
    )
    poll_seconds: float = Field(1.0, gt=0, description="Seconds between two polls of the repository and the backends.")
    memory_limit_mb: int = Field(
        default_factory=lambda: max(1, usable_memory() // 2 // 10**6),
        ge=1,
        description="Memory for loaded models, estimated, in MB; the least recently used are unloaded. Default: half "
        "of the memory that the process may use, also by the limits of its container.",
    )

    max_body_mb: float = Field(20.0, gt=0, description="Largest request body, in MB (10^6 bytes).")
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1, description="Pixels of the largest image.")
    decode_memory_mb: int = Field(
        default_factory=lambda: max(50, min(500, usable_memory() // 2 // 10**6)),
        ge=50,
        description="Memory for decoding images, in MB; a client gets four fifths, and an image that needs more is "
        "refused. Default: 500, or half of the memory that the process may use if that is less.",
    )
    max_images: int = Field(32, ge=1, description="Largest number of images in a request.")
    max_pending: int = Field(
        64, ge=1, description="Requests that may wait or run at the same time; further requests get 503."
    )
    max_bodies_mb: float | None = Field(
        None, gt=0, description="All request bodies at the same time, in MB; default: five of the largest."
    )
    max_connections: int = Field(
        1000, ge=1, description="Open connections, as far as file descriptors suffice; the longest idle gives way."
    )
    request_timeout: float = Field(30.0, gt=0, description="Seconds until the deadline of a request.")
    header_timeout: float = Field(10.0, gt=0, description="Seconds until a request's headers must have arrived.")
    upload_timeout: float = Field(
        30.0, gt=0, description="Seconds until the whole body must have arrived, and until an answer must be read."
    )
    shutdown_timeout: int = Field(20, ge=0, description="Seconds for requests in flight to finish at shutdown.")

    @field_validator("preload", "backend", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _refuse_unknown_variables(self) -> Self:
        variables = {f"{PREFIX}{name.upper()}" for name in type(self).model_fields} | OF_THE_LIBRARY
        unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in variables)
        if unknown:
            close = difflib.get_close_matches(unknown[0], variables, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"no setting is called {unknown[0]}{hint}")
        return self

    @model_validator(mode="after")
    def _check_backend(self) -> Self:
        if self.engine == "tf-serving" and not self.backend:
            raise ValueError(f"engine tf-serving needs a backend: --backend host:port, or {PREFIX}BACKEND")
        if (self.backend_certificate is None) != (self.backend_key is None):
            raise ValueError("set both backend_certificate and backend_key, or neither")
        if self.backend_certificate and not self.backend_ca:
            raise ValueError("backend_certificate needs backend_ca, which turns TLS on")
        return self

    @model_validator(mode="after")
    def _check_bodies(self) -> Self:
        if self.max_bodies_bytes < self.max_body_bytes:
            raise ValueError(f"max_bodies_mb is at least max_body_mb, {self.max_body_mb:g}; got {self.max_bodies_mb:g}")
        return self

    @property
    def max_body_bytes(self) -> int:
        """Largest request body, in bytes."""
        return int(self.max_body_mb * 1e6)

    @property
    def max_bodies_bytes(self) -> int:
        """All request bodies at the same time, in bytes."""
        return int(5e6 * self.max_body_mb if self.max_bodies_mb is None else 1e6 * self.max_bodies_mb)

    @property
    def conversion_cache(self) -> Path:
        """Folder of the converted models."""
        return self.cache_dir or self.repository / CONVERSION_CACHE
