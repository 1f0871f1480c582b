"""SavedModels, changed without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from keras_archs.repository import artifact
from keras_archs.runtimes.bare_tensorflow import bare_tensorflow


def write_with_default(version_dir: Path, signature: str, folder: Path) -> None:
    """Writes a version's graph to `folder` once more, with a signature of its in place of `serving_default`.

    Args:
        version_dir: The version.
        signature: One of its signatures, by name.
        folder: Where the copy goes.

    Raises:
        ValueError: It has no such signature.
        OSError: The graph cannot be read, or the copy cannot be written.
    """
    with bare_tensorflow():
        from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    saved = SavedModel.FromString((version_dir / artifact.SAVED_MODEL).read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    if signature not in signatures:
        raise ValueError(f"there is no signature {signature!r}, only {', '.join(sorted(signatures))}")
    signatures["serving_default"].CopyFrom(signatures[signature])
    (folder / artifact.SAVED_MODEL).write_bytes(saved.SerializeToString())
