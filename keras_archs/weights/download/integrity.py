"""Decides whether the content of a file is what was published.

Where no checksum was published, the SHA-256 of the first complete file is recorded in the cache, wherever the file was
found, and other content is refused from then on.
"""

import hashlib
from functools import partial
from pathlib import Path

from keras_archs.cards.weights_entry import Checksum, WeightsFile
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights.download import first_seen
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.zip_files import only_entry, open_zip

_NAMES = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}


class ContentError(Exception):
    """The content of a file is not what was published; the message says how it differs."""


def verify(path: Path, file: WeightsFile, *, record: Path, source: str, claimed: str | None = None) -> str:
    """Compare the content of a file with its published checksum, or with what was seen first.

    Args:
        path: The file.
        file: What was published.
        record: Path of the record of what was seen first, for files without a published checksum.
        source: Where the file comes from, for the record.
        claimed: SHA-256 that the sender of the file has stated, which the content must have in any case.

    Returns:
        SHA-256 of the file.

    Raises:
        ContentError: If the content differs, or is not a complete file of the expected format.
        OSError: If the file cannot be read.
    """
    sha256 = sha256_of(path)
    if claimed is not None and sha256 != claimed:
        raise ContentError(f"{_size(path)}, SHA-256 {sha256} instead of {claimed}, which its sender states")
    if file.checksum is None:
        _compare_with_first(path, file, sha256, record, source)
    else:
        _compare(path, file.checksum, sha256)
    return sha256


def _compare(path: Path, checksum: Checksum, sha256: str) -> None:
    if checksum.of == "content":
        try:
            found = _digest_of_content(path, checksum.algorithm)
        except CheckpointError as error:
            raise ContentError(f"{_size(path)}, no zip file of a checkpoint: {error}") from error
    elif checksum.algorithm == "sha256":
        found = sha256
    else:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, _hash(checksum.algorithm)).hexdigest()
    expected = checksum.value.lower()
    if not found.startswith(expected):
        name = f"{_NAMES[checksum.algorithm]}{' of the file inside' if checksum.of == 'content' else ''}"
        prefix = "digits that start with " if len(expected) < len(found) else ""
        raise ContentError(f"{_size(path)}, {name} {found} instead of {prefix}{expected}")


def _digest_of_content(path: Path, algorithm: str) -> str:
    """Return the digest of the only file inside a zip file."""
    with path.open("rb") as file, open_zip(file) as archive, archive.open(only_entry(archive)) as content:
        return hashlib.file_digest(content, _hash(algorithm)).hexdigest()  # type: ignore[arg-type] # has no fileno


def _hash(algorithm: str) -> partial["hashlib._Hash"]:
    """Return the maker of a digest, also where a policy forbids old algorithms for signatures."""
    return partial(hashlib.new, algorithm, usedforsecurity=False)


def _compare_with_first(path: Path, file: WeightsFile, sha256: str, record: Path, source: str) -> None:
    try:
        first = first_seen.read(record)
    except ValueError as error:
        raise ContentError(str(error)) from error
    if first is None:
        _check_completeness(path, file)
        first_seen.write(record, sha256, source)
    elif first.sha256 != sha256:
        raise ContentError(
            f"{_size(path)}, SHA-256 {sha256}; no checksum was published, and the content first seen, "
            f"on {first.seen} from {first.source}, has {first.sha256}. "
            f"Delete {record} if the change is known to be right"
        )


def _check_completeness(path: Path, file: WeightsFile) -> None:
    """Read the file as weights, because a part of a file must not be recorded."""
    from keras_archs.weights.formats.reading import read_tensors

    try:
        read_tensors(path, file.format)
    except CheckpointError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ContentError(f"{_size(path)}, not a complete file of weights: {reason}") from error


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes"
