"""Classify images with a published version in this process, on the runtime that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes import loading
from keras_archs.runtimes.runtime import Runtime, Session


def installed_runtime(*, cache_dir: Path | None = None, streams: int = 1) -> Runtime:
    """Return OpenVINO's runtime if OpenVINO is installed, else TensorFlow's; the other library is not imported.

    Args:
        cache_dir: Folder for the versions that OpenVINO converts, created if needed; None for no cache.
        streams: Number of images that OpenVINO computes in parallel, at least 1.
    """
    if find_spec("openvino"):
        from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(cache_dir=cache_dir, streams=streams)
    from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

    return TensorFlowRuntime()


def load_version(runtime: Runtime, version_dir: Path, card: ArtifactCard) -> Session:
    """Load a version as `loading.load_version` does, with one class of errors.

    Args:
        runtime: The runtime to load the version with.
        version_dir: Folder of the version.
        card: Card of the version.

    Raises:
        ArtifactError: The version must not be served, or the runtime cannot load the graph.
    """
    try:
        return loading.load_version(runtime, version_dir, card)
    except Exception as error:  # the runtimes share no class of errors
        raise ArtifactError(f"version {version_dir.name} of {card.name!r} cannot be loaded: {error}") from error
