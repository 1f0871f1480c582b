"""Changes to SavedModels, made without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from keras_archs.repository import artifact
from keras_archs.runtimes.bare_tensorflow import bare_tensorflow


def write_with_default(version_dir: Path, signature: str, folder: Path) -> None:
    """Write a copy of a version's graph whose `serving_default` is another of its signatures.

    Args:
        version_dir: Folder of the version.
        signature: Name of the signature that replaces `serving_default`.
        folder: Folder to write the copy into.

    Raises:
        ValueError: The graph has no such signature.
        OSError: The graph cannot be read, or the copy cannot be written.
    """
    with bare_tensorflow():
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    saved = SavedModel.FromString((version_dir / artifact.SAVED_MODEL).read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    if signature not in signatures:
        raise ValueError(f"there is no signature {signature!r}; the graph has {', '.join(sorted(signatures))}")
    signatures["serving_default"].CopyFrom(signatures[signature])
    (folder / artifact.SAVED_MODEL).write_bytes(saved.SerializeToString())
