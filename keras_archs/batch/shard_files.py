"""The file of a shard: written beside its name, flushed and renamed, so that a file is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from keras_archs.analysis.extras import import_extra
from keras_archs.batch.in_order import in_order
from keras_archs.batch.items import Item
from keras_archs.batch.predictor import Predictor
from keras_archs.batch.rows import Row
from keras_archs.batch.sources.shard import Shard
from keras_archs.batch.table import TableSchema
from keras_archs.repository.folders import flush

parquet = import_extra("pyarrow.parquet", "batch")

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


def write_shards(
    predictor: Predictor, shards: Iterable[tuple[Path, Shard]], on_rows: Callable[[int], None] = lambda count: None
) -> ShardSummary:
    """Compute the rows of shards and write their files; the next shard is begun while a file is written.

    The same shard gives the same bytes. Two processes may write it at the same time, and each may be killed.

    Args:
        predictor: The version.
        shards: Each shard's Parquet file, in a folder that exists, and its images; the threads take turns with it.
        on_rows: Called on the calling thread with the number of rows that have been added.

    Returns:
        The summary of all shards together.

    Raises:
        SourceGoneError: No file of a shard, which has several, could be read.
        OSError: A file cannot be written.
    """

    def compute(image: tuple[_Place, Item | None]) -> tuple[_Place, Row | None]:
        place, item = image
        return place, None if item is None else predictor.row(item)

    total = ShardSummary()
    with closing(in_order(compute, _images(shards), threads=predictor.threads)) as computed:
        for place, row in computed:
            total += _write_file(predictor, place, _rows_of_shard(row, computed, on_rows))
    return total


_Place = tuple[Path, Shard]


def _images(shards: Iterable[_Place]) -> Iterator[tuple[_Place, Item | None]]:
    """Yield the images of each shard, and None at its end."""
    for place in shards:
        _, shard = place
        for item in shard.items():
            yield place, item
        yield place, None


def _write_file(predictor: Predictor, place: _Place, rows: Iterator[Row]) -> ShardSummary:
    path, shard = place
    descriptor, name = tempfile.mkstemp(prefix=f"{INCOMING}{path.stem}-", dir=path.parent)
    incoming = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            summary = _write(predictor, shard, file, rows)
        flush(incoming)
        incoming.chmod(0o644)  # mkstemp's 0600 would lock out other users
        incoming.replace(path)
        flush(path.parent)
    finally:
        incoming.unlink(missing_ok=True)
    return summary


def _write(predictor: Predictor, shard: Shard, file: Any, rows: Iterator[Row]) -> ShardSummary:
    table = TableSchema(predictor.card.labels, predictor.dimension)
    columns = table.columns.with_metadata(
        {_FINGERPRINT: shard.fingerprint.encode(), _ARITHMETIC: predictor.arithmetic.encode()}
    )
    images = errors = unread = 0
    with parquet.ParquetWriter(file, columns, compression="zstd") as writer:
        while group := list(islice(rows, _ROWS_AT_ONCE)):
            images += len(group)
            errors += sum(row.error is not None for row in group)
            unread += sum(row.unread for row in group)
            last = group[-1]
            writer.write_batch(table.batch(group))
    if unread == images > 1:
        raise SourceGoneError(f"none of {images:,} images could be read; {last.path}: {last.error}")
    return ShardSummary(images, errors)


def _rows_of_shard(
    row: Row | None, others: Iterator[tuple[_Place, Row | None]], on_rows: Callable[[int], None]
) -> Iterator[Row]:
    """Yield a row and the others, up to the end of the shard."""
    while row is not None:
        on_rows(1)
        yield row
        _, row = next(others)


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
