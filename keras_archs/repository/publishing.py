"""Publish a version atomically: written to a hidden folder, flushed to disk, and renamed when it is complete."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from keras_archs.repository import artifact
from keras_archs.repository.folders import flush


def publish_version(model_dir: Path, version: int | None, write: Callable[[Path], object]) -> int:
    """Publish a version that `write` writes to a hidden folder beside the published versions.

    Args:
        model_dir: Folder of the model, created if needed.
        version: Positive integer; None for the newest version plus 1.
        write: Writes the files of the version into the folder that it gets.

    Returns:
        Number of the version.

    Raises:
        ValueError: The number is no version.
        FileExistsError: The version exists already: versions are never overwritten.
    """
    if version is not None:
        _check_version(version)
        if (model_dir / str(version)).exists() or version in artifact.published_versions(model_dir):
            raise FileExistsError(
                f"version {version} of {model_dir.name!r} exists already: versions are never overwritten"
            )
    model_dir.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=".incoming-", dir=model_dir))
    try:
        incoming.chmod(0o755)  # mkdtemp's 0700 would lock out a server that runs as another user
        write(incoming)
        _flush(incoming)
        return _rename(incoming, model_dir, version)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _check_version(version: int) -> None:
    if not 1 <= version <= artifact.MAX_VERSION:
        raise ValueError(f"a version must be an integer from 1 to {artifact.MAX_VERSION}; got {version!r}")


def _flush(folder: Path) -> None:
    """Force a folder and its files to disk, so that the rename cannot become durable before them."""
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)


def _rename(incoming: Path, model_dir: Path, version: int | None) -> int:
    """Rename a complete folder to `version` or, if that is None, to the next free number; return the number."""
    folder = artifact.read_model_folder(model_dir)
    target = version or max([*folder.versions, *folder.unreadable], default=0) + 1
    while True:
        _check_version(target)
        try:
            incoming.rename(model_dir / str(target))
        except OSError as error:
            if not (model_dir / str(target)).exists():
                raise
            if version:
                raise FileExistsError(
                    f"version {version} of {model_dir.name!r} was published during the export: "
                    "versions are never overwritten"
                ) from error
            target += 1  # another exporter has published this number, or a folder without a SavedModel has it
            continue
        flush(model_dir)
        return target
