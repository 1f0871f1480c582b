"""Publish the network of a run, at most once, whichever backend of Keras trained it.

A version names the run in its card. Publishing is atomic, so a run that was killed while it published either finds its
version or publishes it.

A version is exported by TensorFlow. A training on another backend starts this module as a process with TensorFlow:

    KERAS_BACKEND=tensorflow python -m keras_archs.training.runs.publish runs/flowers-1 models
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keras_archs.repository import artifact
from keras_archs.training.networks import build_network
from keras_archs.training.runs.config import RunConfig
from keras_archs.training.runs.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

_TRAINED: Final = {"head": "a classifier on frozen", "fine-tune": "fine-tuned", "from-scratch": "from scratch:"}
_ENVIRONMENT: Final = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def find_published(repository: Path, config: RunConfig, run_id: str) -> Path | None:
    """Return the folder of the version that a run has published; None if it has published none."""
    for version_dir in artifact.read_model_folder(repository / config.name).versions.values():
        try:
            source = artifact.read_card(version_dir).weights.source
        except artifact.ArtifactError:  # not written by this package
            continue
        if f"({run_id})" in source:
            return version_dir
    return None


@contextmanager
def version_of(folder: RunFolder, model: keras.Model | None) -> Iterator[Path]:
    """Yield the folder of the version of a run, which is published unless it was before.

    A run that publishes nothing has a version for the duration of the `with` block.

    Args:
        folder: Folder of the run.
        model: The network with the weights of the run's `best.keras`; None to build and load it.

    Raises:
        ValueError: The network cannot be published.
    """
    config = folder.config
    if config.repository is None:
        with tempfile.TemporaryDirectory(prefix="keras-archs-train-") as temporary:
            yield publish(model, folder, Path(temporary))
        return
    repository = Path(config.repository)
    yield find_published(repository, config, folder.state.id) or publish(model, folder, repository)


def publish(model: keras.Model | None, folder: RunFolder, repository: Path) -> Path:
    """Publish the network of a run as the next version, and return the folder of the version.

    Args:
        model: The network with the weights of the run's `best.keras`; None to build and load it.
        folder: Folder of the run.
        repository: Folder of the repository.

    Raises:
        ValueError: The network cannot be published.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        return _export(model or best_network(folder), folder, repository)
    command = [sys.executable, "-m", "keras_archs.training.runs.publish", str(folder.path), str(repository)]
    child = subprocess.run(  # noqa: S603
        command, env={**os.environ, **_ENVIRONMENT}, capture_output=True, text=True, check=False
    )
    published = find_published(repository, folder.config, folder.state.id)
    if child.returncode or published is None:
        reason = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
        raise ValueError(f"{folder.path}: the network could not be published: {reason[-1]}")
    return published


def best_network(folder: RunFolder) -> keras.Model:
    """Build the network of a run, and load the weights of its `best.keras`."""
    config = folder.config
    model, _ = build_network(config.choice, len(config.data.classes))
    model.load_weights(folder.best)
    return model


def description(config: RunConfig) -> str:
    """Return what a run trains, in words, e.g. "fine-tuned efficientnet-lite0 (imagenet)"."""
    weights = f" ({Path(config.weights).name})" if config.weights else ""
    return f"{_TRAINED[config.method]} {config.network}{weights}"


def _export(model: keras.Model, folder: RunFolder, repository: Path) -> Path:
    from keras_archs.export.publish import export_model

    config = folder.config
    images = f"{config.data.images['train']:,} images of {config.name} ({len(config.data.classes):,} classes)"
    return export_model(
        model,
        repository,
        name=config.name,
        labels=config.data.classes,
        trained_on=f"{images}; {description(config)}; run {folder.name} ({folder.state.id})",
    ).path


if __name__ == "__main__":
    _export(best_network(RunFolder(Path(sys.argv[1]))), RunFolder(Path(sys.argv[1])), Path(sys.argv[2]))
