"""The gateway's settings: from flags, from the environment (`KERAS_ARCHS_*`), or the defaults here, in that order."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from keras_archs.images.preprocessing import DEFAULT_MAX_PIXELS
from keras_archs.runtimes.runtime import CPUS

PREFIX = "KERAS_ARCHS_"


class Settings(BaseSettings):
    """Every setting of the gateway. The environment variable is the name in capitals after `KERAS_ARCHS_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    repository: Path = Field(Path("models"), description="Folder of the model repository.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for any free one.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    engine: Literal["embedded", "tf-serving"] = Field("embedded", description="What answers: this process, or another.")
    backend: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="TensorFlow Serving's gRPC ports, host:port (comma-separated); a host may have many addresses."
    )
    backend_ca: Path | None = Field(None, description="PEM: who signed the backends' certificates. Turns TLS on.")
    backend_certificate: Path | None = Field(None, description="PEM: the gateway's certificate, for mutual TLS.")
    backend_key: Path | None = Field(None, description="PEM: its key.")
    backend_message_mb: float = Field(64.0, gt=0, description="Largest answer of a backend, in MB.")

    runtime: Literal["openvino", "tensorflow"] = Field("openvino", description="What the embedded engine runs on.")
    precision: Literal["f32", "bf16", "auto"] = Field("f32", description="Arithmetic of the OpenVINO runtime.")
    streams: int = Field(CPUS, ge=1, description="Images that OpenVINO computes side by side.")
    workers: int = Field(2 * CPUS, ge=1, description="Threads that decode, and threads that infer.")
    cache_dir: Path | None = Field(None, description="Where converted models are kept; <repository>/.cache by default.")
    preload: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models to load before the gateway is ready (comma-separated); others load on first use."
    )
    poll_seconds: float = Field(1.0, gt=0, description="How often the repository is looked at for new versions.")
    memory_limit_mb: int | None = Field(None, ge=1, description="Bound on the loaded models' size on disk, in MB.")

    max_body_mb: float = Field(20.0, gt=0, description="Largest request body, in MB (10^6 bytes).")
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1, description="Largest image, in pixels.")
    max_images: int = Field(32, ge=1, description="Most images in one request.")
    max_pending: int = Field(64, ge=1, description="Requests that may wait or run at once; more are answered 503.")
    request_timeout: float = Field(30.0, gt=0, description="Seconds until an answer must be ready.")
    upload_timeout: float = Field(30.0, gt=0, description="Seconds until a body must have arrived.")
    shutdown_timeout: int = Field(20, ge=0, description="Seconds that requests in flight get at shutdown.")

    @field_validator("preload", "backend", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _no_unknown_variables(self) -> Self:
        known = {f"{PREFIX}{name.upper()}" for name in type(self).model_fields}
        unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
        if unknown:
            close = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"no setting is called {unknown[0]}{hint}")
        return self

    @model_validator(mode="after")
    def _a_complete_backend(self) -> Self:
        if self.engine == "tf-serving" and not self.backend:
            raise ValueError(f"engine tf-serving needs a backend: --backend host:port, or {PREFIX}BACKEND")
        if (self.backend_certificate is None) != (self.backend_key is None):
            raise ValueError("backend_certificate and backend_key come together")
        if self.backend_certificate and not self.backend_ca:
            raise ValueError("backend_certificate needs backend_ca, which turns TLS on")
        return self

    @property
    def conversion_cache(self) -> Path:
        """Where converted models are kept."""
        return self.cache_dir or self.repository / ".cache"
