"""`keras-archs serve`: start the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def _flag(text: str, **options: Any) -> Any:
    # the defaults are those of serving.settings, which is not imported for the help text
    return typer.Option(help=text, show_default=False, **options)


def serve(
    config: Annotated[
        Path | None, _flag("TOML file of settings, which flags override; read again on SIGHUP.", metavar="FILE")
    ] = None,
    repository: Annotated[Path | None, _flag("Folder of the model repository.", metavar="DIR")] = None,
    host: Annotated[str | None, _flag("Address to listen on.")] = None,
    port: Annotated[int | None, _flag("Port to listen on; 0 for any free one.", min=0, max=65535)] = None,
    grpc_port: Annotated[
        int | None, _flag("Port of the Open Inference Protocol over gRPC; 0 for any free one.", min=0, max=65535)
    ] = None,
    engine: Annotated[
        Literal["embedded", "tf-serving"] | None, _flag("Where models run: in this process, or in TensorFlow Serving.")
    ] = None,
    backend: Annotated[
        list[str] | None, _flag("Address of a TensorFlow Serving's gRPC port; repeatable.", metavar="HOST:PORT")
    ] = None,
    runtime: Annotated[
        Literal["openvino", "tensorflow"] | None, _flag("Library that runs models in this process.")
    ] = None,
    precision: Annotated[
        Literal["f32", "bf16", "auto"] | None,
        _flag("Arithmetic of OpenVINO; auto for bfloat16 where it answers alike."),
    ] = None,
    processes: Annotated[int | None, _flag("Processes that answer requests.", min=1)] = None,
    threads: Annotated[int | None, _flag("Threads for inference in each process.", min=1)] = None,
    preload: Annotated[
        list[str] | None, _flag("Model to load before the gateway reports ready; repeatable.", metavar="NAME")
    ] = None,
    memory_limit_mb: Annotated[int | None, _flag("Memory for loaded models, in MB.", min=1)] = None,
    max_body_mb: Annotated[float | None, _flag("Largest request body, in MB.")] = None,
    keys: Annotated[
        Path | None, _flag("File or folder of keys, from keras-archs keys; requests then need a key.", metavar="PATH")
    ] = None,
    no_auth: Annotated[
        bool | None, typer.Option("--no-auth", help="Let other hosts in without a key.", show_default=False)
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, _flag("Least severe messages to log.")
    ] = None,
    log_format: Annotated[Literal["text", "json"] | None, _flag("Form of the log's lines.")] = None,
) -> None:
    """Serve the models of a repository over HTTP.

    Every flag can also be set by an environment variable, e.g. KERAS_ARCHS_MAX_BODY_MB for --max-body-mb. A flag
    overrides its variable.
    """
    given = {
        "config": config,
        "repository": repository,
        "host": host,
        "port": port,
        "grpc_port": grpc_port,
        "engine": engine,
        "backend": tuple(backend) if backend else None,
        "runtime": runtime,
        "precision": precision,
        "processes": processes,
        "threads": threads,
        "preload": tuple(preload) if preload else None,
        "memory_limit_mb": memory_limit_mb,
        "max_body_mb": max_body_mb,
        "keys": keys,
        "no_auth": no_auth,
        "log_level": log_level,
        "log_format": log_format,
    }
    try:
        from serving.run import serve as run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"serving", "keras_archs"}:
            raise
        raise ValueError(
            f"serving needs {error.name}, which is not installed: pip install 'keras-archs[serve]'"
        ) from error
    run(**{setting: value for setting, value in given.items() if value is not None})
