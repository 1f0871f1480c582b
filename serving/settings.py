"""The gateway's settings, in order of precedence: flags, environment (`KERAS_ARCHS_*`), a file, the defaults below."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from keras_archs.images.decoding import DEFAULT_MAX_PIXELS
from keras_archs.repository.artifact import CONVERSION_CACHE
from keras_archs.runtimes.machine import usable_cores, usable_memory

PREFIX = "KERAS_ARCHS_"
OF_THE_LIBRARY = {f"{PREFIX}{name}" for name in ("WEIGHTS", "OFFLINE", "MIRROR", "KEY")}
"""Variables of `keras_archs.weights.download` and the key of a client: no settings, but they may be set beside them."""

RELOADED = frozenset(
    {
        *("log_level", "max_pending", "max_bodies_mb", "request_timeout", "header_timeout", "upload_timeout"),
        *("min_upload_rate", "requests_per_minute", "mb_per_minute"),
    }
)
"""Settings that a running gateway takes from `config` when it gets SIGHUP; others need a restart."""

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?")


class Settings(BaseSettings):
    """All settings of the gateway. Each has an environment variable: `KERAS_ARCHS_` and the name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    config: Path | None = Field(
        None, description="TOML file of settings, which flags and environment variables override. Read again on SIGHUP."
    )
    repository: Path = Field(Path("models"), description="Folder of the model repository.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 for a free port.")
    grpc_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of the Open Inference Protocol over gRPC; 0 for a free port. Default: no gRPC.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = Field("text", description="Form of the log's lines: text, or JSON objects.")
    access_log: bool = Field(False, description="Write a line for each request to stdout, beside the log on stderr.")
    tracing: bool = Field(
        False, description="Send OpenTelemetry spans to where the variables `OTEL_*` say; needs the extra otel."
    )

    processes: int = Field(
        1,
        ge=1,
        description="Processes that answer requests, each with models of its own; limits hold for each of them.",
    )

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
    precision: Literal["f32", "bf16", "auto"] = Field(
        "auto",
        description="Arithmetic of OpenVINO: f32, bf16, or auto for bf16 where the processor has it and a version's "
        "answers to its reference images stay close to float32's. Quantized versions compute in int8.",
    )
    threads: int = Field(
        default_factory=lambda given: max(1, usable_cores() // given.get("processes", 1)),
        ge=1,
        description="Threads for inference, in each process; before TensorFlow Serving, threads for decoding. "
        "Default: the cores that the gateway may use, also by the limits of its container, divided by `processes`.",
    )
    streams: int = Field(
        default_factory=lambda given: given.get("threads", 1),
        ge=1,
        description="Images that OpenVINO computes in parallel; default: threads.",
    )
    workers: int = Field(
        default_factory=lambda given: 2 * given.get("threads", 1),
        ge=1,
        description="Images that the embedded engine decodes or computes at the same time, so that no stream waits. "
        "Default: twice `threads`.",
    )
    cache_dir: Path | None = Field(None, description="Cache of converted models; default: <repository>/.cache.")
    preload: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Models to load before the gateway is ready (comma-separated); other models load on first use."
    )
    poll_seconds: float = Field(1.0, gt=0, description="Seconds between two polls of the repository and the backends.")
    memory_limit_mb: int = Field(
        default_factory=lambda given: max(1, usable_memory() // 2 // given.get("processes", 1) // 10**6),
        ge=1,
        description="Memory for loaded models of each process, estimated, in MB; the least recently used are unloaded. "
        "Default: half of the memory that the gateway may use, also by the limits of its container, divided by "
        "`processes`.",
    )

    max_body_mb: float = Field(20.0, gt=0, description="Largest request body, in MB (10^6 bytes).")
    max_pixels: int = Field(DEFAULT_MAX_PIXELS, ge=1, description="Pixels of the largest image.")
    decode_memory_mb: int = Field(
        default_factory=lambda given: max(50, min(500, usable_memory() // 2 // given.get("processes", 1) // 10**6)),
        ge=50,
        description="Memory for decoding images, in MB; a client gets four fifths, and an image that needs more is "
        "refused. Default: 500, or half of the process's share of the memory if that is less.",
    )
    max_images: int = Field(32, ge=1, description="Largest number of images in a request.")
    max_pending: int = Field(
        default_factory=lambda given: max(64, 16 * usable_cores() // given.get("processes", 1)),
        ge=1,
        description="Requests that may wait or run at the same time in each process; further requests get 503. "
        "Default: 16 for each core that the gateway may use, divided by `processes`, and 64 at least.",
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
    min_upload_rate: float = Field(
        1000.0, gt=0, description="Bytes per second that a body must have on average, after the first 20 seconds."
    )
    keys: Path | None = Field(
        None,
        description="File or folder of the keys that `keras-archs keys` makes; requests then need a key. Changes are "
        "noticed while the gateway runs.",
    )
    no_auth: bool = Field(
        False, description="Let every host in without a key; needed without keys on an address that is no loopback."
    )
    jwt_issuer: str | None = Field(None, description="Issuer of the tokens (JWT) that are accepted like keys.")
    jwt_audience: str | None = Field(None, description="Audience that tokens must name.")
    jwt_keys: str | None = Field(
        None, description="Public keys of the issuer, a JSON Web Key Set: a file, or an https:// address."
    )
    jwt_models_claim: str | None = Field(
        None,
        description="Claim of a token that lists the models it may use, * for all; without this setting, tokens may "
        "use all models.",
    )
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests per minute of each key or, without keys, each address; default: any number."
    )
    mb_per_minute: float | None = Field(
        None, ge=0.001, description="Bodies per minute of each key or address, in MB; default: any number."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses or networks of proxies whose X-Forwarded-For is believed (comma-separated)."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of pages elsewhere that may use the gateway from a browser (comma-separated)."
    )
    admin_port: int | None = Field(
        None, ge=0, le=65535, description="Port of their own for /metrics and /docs, which need no key there."
    )
    admin_host: str = Field("127.0.0.1", description="Address of the admin port.")
    tls_certificate: Path | None = Field(
        None, description="PEM file of the gateway's certificate with its chain; turns TLS on. Read again on change."
    )
    tls_key: Path | None = Field(None, description="PEM file of that certificate's private key.")
    drain_seconds: float = Field(
        0.0,
        ge=0,
        description="Seconds after SIGTERM in which /readyz answers 503 and requests are still accepted, so that load "
        "balancers notice before the port is closed.",
    )
    shutdown_timeout: int = Field(20, ge=0, description="Seconds for requests in flight to finish at shutdown.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of the settings, the most important first."""
        config = init_settings().get("config") or env_settings().get("config")
        if not config:
            return init_settings, env_settings
        path = Path(config)
        if not path.is_file():
            raise ValueError(f"config {path} is no file")
        try:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"config {path} is not TOML: {error}") from None

    @field_validator("preload", "backend", "trusted_proxies", "cors_origins", mode="before")
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
    def _check_tracing(self) -> Self:
        if self.tracing and not _is_installed("opentelemetry.sdk"):
            raise ValueError("tracing needs the extra otel: pip install 'keras-archs[otel]'")
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

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(proxy)) for proxy in proxies)

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"an origin is a scheme and a host, as https://example.org is; got {origin}")
        return origins

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        tokens = {"jwt_issuer": self.jwt_issuer, "jwt_audience": self.jwt_audience, "jwt_keys": self.jwt_keys}
        missing = [name for name, value in tokens.items() if not value]  # an empty variable is none
        if missing and (len(missing) < len(tokens) or self.jwt_models_claim):
            raise ValueError(f"tokens need {', '.join(tokens)}; missing: {', '.join(missing)}")
        if self.jwt_keys and not _is_safe(self.jwt_keys):
            raise ValueError(f"jwt_keys is a file or an address that begins with https://; got {self.jwt_keys}")
        if self.no_auth and self.needs_credentials:
            raise ValueError("no_auth lets everybody in, so that keys and jwt_keys would do nothing: set one of them")
        hosts = [self.host] if self.admin_port is None else [self.host, self.admin_host]
        exposed = [host for host in hosts if not _is_loopback(host)]
        if exposed and not (self.no_auth or self.needs_credentials):
            raise ValueError(
                f"on {exposed[0]}, other hosts could use the gateway without a key. Make keys with `keras-archs keys "
                "new NAME` and start with --keys keys.json, or let everybody in with --no-auth"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set both tls_certificate and tls_key, or neither")
        return self

    @model_validator(mode="after")
    def _check_grpc_port(self) -> Self:
        if self.grpc_port == 0 and self.processes > 1:
            raise ValueError("several processes share the gRPC port, so it cannot be any free port: set grpc_port")
        return self

    @model_validator(mode="after")
    def _check_bodies(self) -> Self:
        if self.max_bodies_bytes < self.max_body_bytes:
            raise ValueError(f"max_bodies_mb is at least max_body_mb, {self.max_body_mb:g}; got {self.max_bodies_mb:g}")
        return self

    @property
    def needs_credentials(self) -> bool:
        """Whether requests need a key or a token."""
        return self.keys is not None or bool(self.jwt_keys)

    @property
    def bytes_per_minute(self) -> int | None:
        """Bytes of bodies per minute, of each key or address."""
        return None if self.mb_per_minute is None else int(self.mb_per_minute * 1e6)

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


def _is_safe(source: str) -> bool:
    """Return whether nobody on the way can change what comes from a file or an address."""
    address = urlsplit(source)
    return address.scheme in {"", "https"} or (address.scheme == "http" and _is_loopback(address.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
