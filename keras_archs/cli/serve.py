"""`keras-archs serve`: the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def _flag(text: str, **options: Any) -> Any:
    # What is not given stays with the gateway's settings, so there is no default to show here.
    return typer.Option(help=text, show_default=False, **options)


def serve(
    repository: Annotated[Path | None, _flag("Folder of the model repository.", metavar="DIR")] = None,
    host: Annotated[str | None, _flag("Address to listen on.")] = None,
    port: Annotated[int | None, _flag("Port to listen on; 0 for any free one.", min=0, max=65535)] = None,
    engine: Annotated[
        Literal["embedded", "tf-serving"] | None, _flag("What answers: this process, or TensorFlow Serving.")
    ] = None,
    backend: Annotated[
        list[str] | None, _flag("TensorFlow Serving's gRPC port; repeatable.", metavar="HOST:PORT")
    ] = None,
    runtime: Annotated[Literal["openvino", "tensorflow"] | None, _flag("What computes the predictions.")] = None,
    precision: Annotated[Literal["f32", "bf16", "auto"] | None, _flag("Arithmetic of the OpenVINO runtime.")] = None,
    preload: Annotated[
        list[str] | None, _flag("Model to load before the gateway is ready; repeatable.", metavar="NAME")
    ] = None,
    memory_limit_mb: Annotated[int | None, _flag("Bound on the loaded models' size, in MB.", min=1)] = None,
    max_body_mb: Annotated[float | None, _flag("Largest request body, in MB.")] = None,
    log_level: Annotated[Literal["debug", "info", "warning", "error"] | None, _flag("How much to log.")] = None,
) -> None:
    """Serve the models of a repository over HTTP.

    Every flag has an environment variable, KERAS_ARCHS_<FLAG>: KERAS_ARCHS_MAX_BODY_MB for --max-body-mb. The flag
    wins over the variable, and the variable over the default.
    """
    given = {
        "repository": repository,
        "host": host,
        "port": port,
        "engine": engine,
        "backend": tuple(backend) if backend else None,
        "runtime": runtime,
        "precision": precision,
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
