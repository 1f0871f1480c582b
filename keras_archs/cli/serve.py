"""`keras-archs serve`: start the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def _flag(text: str, **options: Any) -> Any:
    # the defaults are those of serving.settings, which is not imported for the help text
    return typer.Option(help=text, show_default=False, **options)


def serve(
    repository: Annotated[Path | None, _flag("Folder of the model repository.", metavar="DIR")] = None,
    host: Annotated[str | None, _flag("Address to listen on.")] = None,
    port: Annotated[int | None, _flag("Port to listen on; 0 for any free one.", min=0, max=65535)] = None,
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
        Literal["f32", "bf16", "auto"] | None, _flag("Arithmetic of OpenVINO; auto for the fastest.")
    ] = None,
    threads: Annotated[int | None, _flag("Threads for inference in this process.", min=1)] = None,
    preload: Annotated[
        list[str] | None, _flag("Model to load before the gateway reports ready; repeatable.", metavar="NAME")
    ] = None,
    memory_limit_mb: Annotated[int | None, _flag("Memory for loaded models, in MB.", min=1)] = None,
    max_body_mb: Annotated[float | None, _flag("Largest request body, in MB.")] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, _flag("Least severe messages to log.")
    ] = None,
) -> None:
    """Serve the models of a repository over HTTP.

    Every flag can also be set by an environment variable, e.g. KERAS_ARCHS_MAX_BODY_MB for --max-body-mb. A flag
    overrides its variable.
    """
    given = {
        "repository": repository,
        "host": host,
        "port": port,
        "engine": engine,
        "backend": tuple(backend) if backend else None,
        "runtime": runtime,
        "precision": precision,
        "threads": threads,
        "preload": tuple(preload) if preload else None,
        "memory_limit_mb": memory_limit_mb,
        "max_body_mb": max_body_mb,
        "log_level": log_level,
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
