"""The file of a shard: written beside its name, flushed and renamed, so that a file is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from keras_archs.analysis.extras import import_extra
from keras_archs.batch.predictor import Predictor
from keras_archs.batch.rows import Row
from keras_archs.batch.sources.shard import Shard
from keras_archs.batch.table import TableSchema
from keras_archs.repository.folders import flush

INCOMING: Final = ".incoming-"
"""Beginning of the name of a file that is being written."""

_FINGERPRINT: Final = b"keras_archs.fingerprint"
_ARITHMETIC: Final = b"keras_archs.arithmetic"
_ROWS_AT_ONCE: Final = 1000


class SourceGoneError(ValueError):
    """No file of a shard could be read: the disk, the network or the permission is missing, not the images."""


@dataclass(frozen=True)
class ShardSummary:
    """How many images a shard has, and how many of them have an error."""

    images: int = 0
    errors: int = 0

    def __add__(self, other: ShardSummary) -> ShardSummary:
        """Return the summary of both shards together."""
        return ShardSummary(self.images + other.images, self.errors + other.errors)


def write_shard(
    predictor: Predictor, shard: Shard, path: Path, on_rows: Callable[[int], None] = lambda count: None
) -> ShardSummary:
    """Compute the rows of a shard and write its file.

    The same shard gives the same bytes. Two processes may write it at the same time, and each may be killed.

    Args:
        predictor: The version and its threads.
        shard: The images.
        path: Parquet file to write, in a folder that exists.
        on_rows: Called on the calling thread with the number of rows that have been added.

    Raises:
        SourceGoneError: No file of the shard, which has several, could be read.
        OSError: The file cannot be written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f"{INCOMING}{path.stem}-", dir=path.parent)
    incoming = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            summary = _write(predictor, shard, file, on_rows)
        flush(incoming)
        incoming.chmod(0o644)  # mkstemp's 0600 would lock out other users
        incoming.replace(path)
        flush(path.parent)
    finally:
        incoming.unlink(missing_ok=True)
    return summary


def _write(predictor: Predictor, shard: Shard, file: Any, on_rows: Callable[[int], None]) -> ShardSummary:
    parquet = import_extra("pyarrow.parquet", "batch")
    table = TableSchema(predictor.card.labels, predictor.dimension)
    columns = table.columns.with_metadata(
        {_FINGERPRINT: shard.fingerprint.encode(), _ARITHMETIC: predictor.arithmetic.encode()}
    )
    images = errors = unread = 0
    with parquet.ParquetWriter(file, columns, compression="zstd") as writer:
        rows = _told(predictor.rows(shard.items()), on_rows)
        while group := list(islice(rows, _ROWS_AT_ONCE)):
            images += len(group)
            errors += sum(row.error is not None for row in group)
            unread += sum(row.unread for row in group)
            last = group[-1]
            writer.write_batch(table.batch(group))
    if unread == images > 1:
        raise SourceGoneError(f"none of {images:,} images could be read; {last.path}: {last.error}")
    return ShardSummary(images, errors)


def _told(rows: Iterator[Row], on_rows: Callable[[int], None]) -> Iterator[Row]:
    for row in rows:
        on_rows(1)
        yield row


@dataclass(frozen=True)
class ShardFile:
    """What the file of a shard says of itself."""

    fingerprint: str
    arithmetic: str
    summary: ShardSummary


def read_shard_file(path: Path) -> ShardFile:
    """Read what is in the file of a shard, without its rows.

    Raises:
        OSError: There is no such file.
        ValueError: The file is no file of a shard.
    """
    parquet = import_extra("pyarrow.parquet", "batch")
    with path.open("rb") as content, parquet.ParquetFile(content) as file:
        about = file.schema_arrow.metadata or {}
        if not {_FINGERPRINT, _ARITHMETIC} <= set(about):
            raise ValueError(f"{path} was not written by keras-archs predict")
        summary = ShardSummary(file.metadata.num_rows, _errors(file.metadata))
        return ShardFile(about[_FINGERPRINT].decode(), about[_ARITHMETIC].decode(), summary)


def _errors(metadata: Any) -> int:
    """Return the number of rows with an error, from the statistics of the last column."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    nulls = sum(group.column(metadata.num_columns - 1).statistics.null_count for group in groups)
    return int(metadata.num_rows - nulls)
