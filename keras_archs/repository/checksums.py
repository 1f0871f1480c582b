"""SHA-256 checksums of the files of a published version."""

import hashlib
from pathlib import Path

from keras_archs.repository.artifact import (
    INT8_ANSWERS,
    INT8_GRAPH,
    INT8_WEIGHTS,
    REFERENCE_ANSWERS,
    SAVED_MODEL,
    ArtifactError,
)
from keras_archs.repository.artifact_card import ArtifactCard


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(version_dir: Path) -> dict[str, str]:
    """Return the checksums of a version's graphs, variables, assets and reference answers, by path in the version."""
    files = [version_dir / SAVED_MODEL]
    # older exports have no reference answers, and only quantized versions an int8 graph
    optional = (REFERENCE_ANSWERS, INT8_GRAPH, INT8_WEIGHTS, INT8_ANSWERS)
    files += [version_dir / path for path in optional if (version_dir / path).is_file()]
    for folder in ("variables", "assets"):
        files += sorted(path for path in (version_dir / folder).rglob("*") if path.is_file())
    return {path.relative_to(version_dir).as_posix(): sha256_of(path) for path in files}


def verify(version_dir: Path, card: ArtifactCard) -> None:
    """Compare the files of a version with the checksums in its card. Files that the card does not name do not matter.

    Raises:
        ArtifactError: A file is missing, differs or cannot be read, or the card does not name the graph; the message
            names the files.
    """
    version = f"version {version_dir.name} of {card.name!r}"
    if SAVED_MODEL not in card.checksums:
        raise ArtifactError(f"the card of {version} has no checksum of {SAVED_MODEL}; publish a new version")
    if card.quantization:
        quantized = (INT8_GRAPH, INT8_WEIGHTS, INT8_ANSWERS)
        if missing := [str(path) for path in quantized if path.as_posix() not in card.checksums]:
            raise ArtifactError(
                f"the card of {version} says int8, but has no checksum of {', '.join(missing)}; publish a new version"
            )
    try:
        differing = sorted(path for path, expected in card.checksums.items() if _sha256(version_dir / path) != expected)
    except OSError as error:  # its text contains the path of the version
        file = Path(error.filename or version_dir).relative_to(version_dir).as_posix()
        raise ArtifactError(f"{file} of {version} cannot be read: {error.strerror}") from error
    if differing:
        raise ArtifactError(
            f"{version} has changed since it was published: {', '.join(differing)} missing or altered; "
            "publish a new version"
        )


def _sha256(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None
