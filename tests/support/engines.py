"""The gateway with each engine, over the same repository."""

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
    """Run a gateway until it is ready, with TensorFlow Serving behind it if that is the engine; logs go to `folder`."""
    log = folder / "gateway.log"
    if engine != "tf-serving":
        with running_gateway(repository, log, "--runtime", engine, *flags) as gateway:
            yield gateway
        return
    with (
        running_backend(folder / "backend.log", *serving_flags(repository)) as backend,
        running_gateway(repository, log, "--engine", engine, "--backend", backend.target, *flags) as gateway,
    ):
        yield gateway


def serving_flags(repository: Path) -> tuple[str, ...]:
    """Return flags for TensorFlow Serving to serve a repository and to notice changes within 0.1 s."""
    config = repository / models_config.CONFIG
    if not config.exists():
        (name,) = published_models(repository)
        return ("--model_name", name, "--model_base_path", str(repository / name))
    return (
        *("--model_config_file", str(config), "--model_config_file_poll_wait_seconds", "0.1"),
        *("--file_system_poll_wait_seconds", "0.1", "--allow_version_labels_for_unavailable_models"),
    )
