"""The gateway's settings, in order of precedence: flags, environment (`KERAS_ARCHS_*`), the defaults below."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from keras_archs.images.preprocessing import DEFAULT_MAX_PIXELS
from keras_archs.repository.artifact import CONVERSION_CACHE
from keras_archs.runtimes.runtime import CPUS

PREFIX = "KERAS_ARCHS_"


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
    streams: int = Field(CPUS, ge=1, description="Images that OpenVINO computes in parallel.")
    workers: int = Field(
        2 * CPUS, ge=1, description="Decoding threads; the embedded engine has as many inference threads."
    )
    cache_dir: Path | None = Field(None, description="Cache of converted models; default: <repository>/.cache.")
    preload: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models to load before the gateway is ready (comma-separated); other models load on first use."
    )
    poll_seconds: float = Field(1.0, gt=0, description="Seconds between two polls of the repository and the backends.")
    memory_limit_mb: int | None = Field(
        None, ge=1, description="Limit on the loaded models' total size on disk, in MB."
    )

    max_body_mb: float = Field(20.0, gt=0, description="Largest request body, in MB (10^6 bytes).")
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1, description="Pixels of the largest image.")
    max_images: int = Field(32, ge=1, description="Largest number of images in a request.")
    max_pending: int = Field(
        64, ge=1, description="Requests that may wait or run at the same time; further requests get 503."
    )
    request_timeout: float = Field(30.0, gt=0, description="Seconds until the deadline of a request.")
    upload_timeout: float = Field(30.0, gt=0, description="Seconds until the whole body must have arrived.")
    shutdown_timeout: int = Field(20, ge=0, description="Seconds for requests in flight to finish at shutdown.")

    @field_validator("preload", "backend", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _refuse_unknown_variables(self) -> Self:
        variables = {f"{PREFIX}{name.upper()}" for name in type(self).model_fields}
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

    @property
    def conversion_cache(self) -> Path:
        """Folder of the converted models."""
        return self.cache_dir or self.repository / CONVERSION_CACHE
