"""One way to say which file it was."""

import hashlib
from pathlib import Path

from keras_archs.repository.artifact import SAVED_MODEL, ArtifactCard, ArtifactError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(version_dir: Path) -> dict[str, str]:
    """SHA-256 of the graph, its variables and its assets, by relative path."""
    files = [version_dir / SAVED_MODEL]
    for folder in ("variables", "assets"):
        files += sorted(path for path in (version_dir / folder).rglob("*") if path.is_file())
    return {path.relative_to(version_dir).as_posix(): sha256_of(path) for path in files}


def verify(version_dir: Path, card: ArtifactCard) -> None:
    """Checks the files of a version against its card.

    Raises:
        ArtifactError: A file is missing, was added, or differs.
    """
    found = checksums(version_dir) if (version_dir / SAVED_MODEL).is_file() else {}
    differing = sorted(
        path for path in found.keys() | card.checksums.keys() if found.get(path) != card.checksums.get(path)
    )
    if differing:
        raise ArtifactError(
            f"version {version_dir.name} of {card.name!r} is not what was published: {', '.join(differing)} "
            "missing or altered"
        )
