"""The gateway with each of its engines, over the same repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_archs.repository import models_config
from keras_archs.repository.artifact import published_models
from tests.support.backend import running_backend
from tests.support.gateway import Gateway, running_gateway

ENGINES = ("openvino", "tensorflow", "tf-serving")


@contextmanager
def running_engine(engine: str, repository: Path, folder: Path, *flags: str) -> Iterator[Gateway]:
    """A gateway that is ready, with a TensorFlow Serving behind it if that is the engine; logs go to `folder`."""
    log = folder / "gateway.log"
    if engine != "tf-serving":
        with running_gateway(repository, log, "--runtime", engine, *flags) as gateway:
            yield gateway
        return
    with (
        running_backend(folder / "backend.log", *serving(repository)) as backend,
        running_gateway(repository, log, "--engine", engine, "--backend", backend.target, *flags) as gateway,
    ):
        yield gateway


def serving(repository: Path) -> tuple[str, ...]:
    """The flags with which a TensorFlow Serving serves a repository, and soon sees what changes there."""
    config = repository / models_config.CONFIG
    if not config.exists():
        (name,) = published_models(repository)
        return ("--model_name", name, "--model_base_path", str(repository / name))
    return (
        *("--model_config_file", str(config), "--model_config_file_poll_wait_seconds", "0.1"),
        *("--file_system_poll_wait_seconds", "0.1", "--allow_version_labels_for_unavailable_models"),
    )
