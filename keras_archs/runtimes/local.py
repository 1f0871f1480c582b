"""Classify images with a published version in this process, on the runtime that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard, ArtifactError
from keras_archs.repository.checksums import verify
from keras_archs.runtimes.runtime import Runtime, Session


def installed_runtime(*, cache_dir: Path | None = None) -> Runtime:
    """Return OpenVINO's runtime if OpenVINO is installed, else TensorFlow's; the other library is not imported.

    Args:
        cache_dir: Folder for the versions that OpenVINO converts, created if needed; None for no cache.
    """
    if find_spec("openvino"):
        from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(cache_dir=cache_dir)
    from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

    return TensorFlowRuntime()


def load_version(runtime: Runtime, version_dir: Path, card: ArtifactCard) -> Session:
    """Check the files of a version and load it.

    Args:
        runtime: The runtime to load the version with.
        version_dir: Folder of the version.
        card: Card of the version.

    Raises:
        ArtifactError: The files differ from the checksums in the card, or the runtime cannot load the graph.
    """
    verify(version_dir, card)
    try:
        return runtime.load(version_dir, card)
    except Exception as error:  # the runtimes share no class of errors
        raise ArtifactError(f"version {version_dir.name} of {card.name!r} cannot be loaded: {error}") from error


def predict(session: Session, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the probabilities [N, classes] of any number N >= 1 of uint8 images [N, H, W, C], in batches."""
    step = session.max_batch
    return np.concatenate([session.infer(images[start : start + step]) for start in range(0, len(images), step)])
