"""Open zip files whose statements about themselves may be lies.

Python's reader takes memory for the whole directory of a zip file, and inflates whatever an entry holds. Here, the
directory is bounded, the entries together cannot be longer than the file, and callers accept entries that are stored,
or deflated within a bound.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from keras_archs.weights.errors import CheckpointError

SIGNATURE = b"PK\x03\x04"

_MAX_DIRECTORY = 4_000_000
"""Bytes of the longest directory: about 40,000 entries; a checkpoint has an entry per tensor."""
_MAX_RATIO = 10
"""How much longer than in the zip file an entry may be. Trained weights become at most a few per cent shorter."""
_SMALL = 1_000_000
"""Length in bytes up to which an entry may be deflated by any ratio."""


@contextmanager
def open_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open a zip file.

    Raises:
        CheckpointError: If the file is damaged or its directory is too long, also while its entries are read.
    """
    bounded = _Bounded(file)
    try:
        with zipfile.ZipFile(bounded) as archive:
            bounded.limit = bounded.size
            entries = archive.infolist()
            if sum(entry.compress_size for entry in entries) > bounded.size or len(entries) != len(archive.NameToInfo):
                raise CheckpointError("the entries of the zip file overlap")
            yield archive
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can raise any exception
        raise CheckpointError(f"the zip file is damaged: {error}") from error


def read_stored(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read an entry that is not compressed.

    Raises:
        CheckpointError: If there is no such entry, or it is compressed.
    """
    if name not in archive.NameToInfo:
        raise CheckpointError(f"the zip file has no entry {name}")
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise CheckpointError(f"{name} is compressed, which Torch does not do")
    content = archive.read(entry)
    if len(content) != entry.file_size:
        raise CheckpointError(f"the file ends within {name}")
    return content


def only_entry(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the only entry of a zip file.

    Raises:
        CheckpointError: If there are more, or the entry would be far longer than weights can be.
    """
    if len(archive.infolist()) != 1:
        raise CheckpointError(f"the zip file must have one entry, not {len(archive.infolist()):,}")
    (entry,) = archive.infolist()
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError(f"{entry.filename} is compressed by a method that is not allowed; deflate it")
    if entry.file_size > max(_SMALL, _MAX_RATIO * entry.compress_size):
        raise CheckpointError(
            f"{entry.filename} would grow from {entry.compress_size:,} to {entry.file_size:,} bytes; "
            f"weights grow by a factor of {_MAX_RATIO} at most"
        )
    return entry


class _Bounded:
    """A file that refuses to read many bytes at once: Python's reader takes the whole directory at once."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.limit = file, file.seek(0, io.SEEK_END), _MAX_DIRECTORY

    def read(self, count: int = -1) -> bytes:
        left = self.size - self.file.tell()
        if (left if count < 0 else min(count, left)) > self.limit:
            raise CheckpointError(f"the directory of the zip file is longer than {_MAX_DIRECTORY:,} bytes")
        return self.file.read(count)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True
