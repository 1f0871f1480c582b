"""Parquet files with a column of images, or of paths of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from keras_archs.analysis.extras import import_extra
from keras_archs.batch.items import Item, damaged
from keras_archs.batch.sources import places
from keras_archs.batch.sources.files import shards_of_files
from keras_archs.batch.sources.shard import Shard, digest
from keras_archs.images.errors import ImageError

SUFFIXES: Final = (".parquet",)

_ROWS_AT_ONCE: Final = 16
_BYTES_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True)
class RowsShard:
    """Images of consecutive row groups of a Parquet file."""

    place: str
    column: str
    groups: tuple[int, ...]
    first_row: int
    """Position in the file of the first row."""
    images: int
    """Number of rows."""

    @property
    def fingerprint(self) -> str:
        """Digest of the file's path, the column and the rows."""
        return digest([self.place, self.column, str(self.first_row), str(self.images)])

    def items(self) -> Iterator[Item]:
        """Yield the images; if the file is damaged, those after the damage have the error.

        Raises:
            OSError: The file cannot be read, which says nothing about its content.
        """
        with places.as_os_errors(self.place):
            row = self.first_row
            try:
                for value in _values(self.place, self.column, self.groups):
                    yield Item(f"{self.place}#{row}", partial(_content, value))
                    row += 1
            except (OSError, ValueError) as error:
                # Arrow reports damage as an error of the system without a number
                if isinstance(error, OSError) and (error.errno is not None or places.is_address(self.place)):
                    raise
                for number in range(row, self.first_row + self.images):
                    yield damaged(f"{self.place}#{number}", f"The table is damaged: {error}.")


def shards_of_table(place: str, column: str, shard_images: int) -> Iterator[Shard]:
    """Divide a Parquet file into shards: whole row groups, until there are enough images.

    Args:
        place: The file.
        column: Column of the encoded images, as bytes or as a structure with the field `bytes`; or of paths, of which
            those that are relative are relative to the file's folder.
        shard_images: Number of images in a shard, or more if the row groups are larger.

    Raises:
        ValueError: The file is damaged, or has no such column.
        OSError: The file cannot be read.
    """
    with places.open_file(place) as content, _opened(place, content) as file:
        names = file.schema_arrow.names
        if column not in names:
            raise ValueError(f"{place} has no column {column!r}; give --image-column with one of {', '.join(names)}")
        if _is_text(place, column, file.schema_arrow.field(column).type):
            folder = places.parent(place)
            values = enumerate(_values(place, column, None))
            # a row without a path is a file that does not exist, so that the table of answers names it
            paths = (places.join(folder, path) if path else f"{place}#{row}" for row, path in values)
            yield from shards_of_files(paths, shard_images)
            return
        groups: list[int] = []
        first = rows = 0
        for number in range(file.metadata.num_row_groups):
            groups.append(number)
            rows += file.metadata.row_group(number).num_rows
            if rows >= shard_images or (rows and number == file.metadata.num_row_groups - 1):
                yield RowsShard(place, column, tuple(groups), first, rows)
                first, rows, groups = first + rows, 0, []


def _is_text(place: str, column: str, kind: Any) -> bool:
    """Return whether a column has paths, and not images; refuse a column that has neither."""
    types = import_extra("pyarrow.types", "batch")
    if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return False
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return True
    raise ValueError(f"the column {column} of {place} must have images as bytes, or paths as text; got {kind}")


def _values(place: str, column: str, groups: tuple[int, ...] | None) -> Iterator[Any]:
    # pages are read one after the other, because a row group of images can be large
    with places.open_file(place) as content, _opened(place, content) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=[column], use_threads=False):
            yield from batch.column(0).to_pylist()


def _opened(place: str, content: Any) -> Any:
    parquet = import_extra("pyarrow.parquet", "batch")
    try:
        return parquet.ParquetFile(content, pre_buffer=False, buffer_size=_BYTES_AT_ONCE)
    except ValueError as error:
        raise ValueError(f"{place} is no Parquet file: {error}") from error


def _content(value: Any) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not content:
        raise ImageError("The row has no image.")
    return bytes(content)
