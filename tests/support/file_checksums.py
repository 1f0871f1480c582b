"""Checksums of test files, of the kind that is published for the real file."""

import hashlib
import zipfile
from pathlib import Path

from keras_archs.cards.weights_entry import Checksum


def checksum_of(path: Path, published: Checksum | None) -> Checksum | None:
    """Return a file's checksum of the kind that is published: its algorithm, of the content, as long a prefix."""
    if published is None:
        return None
    content = path.read_bytes()
    if published.of == "content":
        with zipfile.ZipFile(path) as archive:
            content = archive.read(archive.namelist()[0])
    digits = hashlib.new(published.algorithm, content).hexdigest()
    return Checksum(published.algorithm, digits[: len(published.value)], published.of)
