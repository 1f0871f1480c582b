"""Classify images with a published version in this process, on the runtime that is installed."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes import loading
from keras_archs.runtimes.runtime import Embed, Precision, Runtime, Session


def installed_runtime(
    *, cache_dir: Path | None = None, streams: int = 1, threads: int | None = None, precision: Precision = "f32"
) -> Runtime:
    """Return OpenVINO's runtime if OpenVINO is installed, else TensorFlow's; the other library is not imported.

    Args:
        cache_dir: Folder for the versions that OpenVINO converts, created if needed; None for no cache.
        streams: Number of images that OpenVINO computes in parallel, at least 1.
        threads: Threads with which OpenVINO computes, at least 1; None for one per core that the process may use.
        precision: Arithmetic of OpenVINO for graphs in float32.
    """
    if find_spec("openvino"):
        from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(cache_dir=cache_dir, streams=streams, threads=threads, precision=precision)
    from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

    return TensorFlowRuntime()


def runtime_release() -> str:
    """Return name and version of the library whose runtime `installed_runtime` returns."""
    library = "openvino" if find_spec("openvino") else "tensorflow"
    return f"{library} {metadata.version(library)}"


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


def load_embedder(runtime: Runtime, session: Session, version_dir: Path, card: ArtifactCard) -> Embed:
    """Load what computes the probabilities and the features of an image together; OpenVINO alone does.

    Args:
        runtime: The runtime that loaded the version.
        session: The version.
        version_dir: Folder of the version.
        card: Card of the version.

    Raises:
        ArtifactError: The runtime or the version gives no embeddings, or other answers than the exported model.
    """
    load = getattr(runtime, "load_embedder", None)
    if load is None:
        raise ArtifactError("embeddings are computed by OpenVINO: pip install 'keras-archs[batch]'")
    try:
        embed: Embed = load(version_dir, card, session.arithmetic)
        loading.check_embedder(embed, session, version_dir, card)
    except Exception as error:  # as in `load_version`
        raise ArtifactError(f"version {version_dir.name} of {card.name!r} gives no embeddings: {error}") from error
    return embed
