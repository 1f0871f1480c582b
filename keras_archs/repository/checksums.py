"""SHA-256 checksums of the files of a published version."""

import hashlib
from pathlib import Path

from keras_archs.repository.artifact import SAVED_MODEL, ArtifactCard, ArtifactError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(version_dir: Path) -> dict[str, str]:
    """Return the checksums of a version's graph, variables and assets, by path relative to the version."""
    files = [version_dir / SAVED_MODEL]
    for folder in ("variables", "assets"):
        files += sorted(path for path in (version_dir / folder).rglob("*") if path.is_file())
    return {path.relative_to(version_dir).as_posix(): sha256_of(path) for path in files}


def verify(version_dir: Path, card: ArtifactCard) -> None:
    """Compare the files of a version with the checksums in its card.

    Raises:
        ArtifactError: A file is missing, was added or differs; the message names the files.
    """
    actual = checksums(version_dir) if (version_dir / SAVED_MODEL).is_file() else {}
    differing = sorted(
        path for path in actual.keys() | card.checksums.keys() if actual.get(path) != card.checksums.get(path)
    )
    if differing:
        raise ArtifactError(
            f"version {version_dir.name} of {card.name!r} has changed since it was published: {', '.join(differing)} "
            "missing or altered; publish a new version"
        )
