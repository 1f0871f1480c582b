"""Tables of paths and labels: .csv and .parquet files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keras_archs.analysis.extras import import_extra

COLUMNS: Final = ("path", "label")
"""Columns of a table."""
SPLIT: Final = "split"
"""Column of a table that may say what an image is for; further columns are ignored."""
SUFFIXES: Final = (".csv", ".parquet")


@dataclass(frozen=True)
class Table:
    """The columns of a table, without white space around the values; at least one row."""

    paths: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str] | None
    """As the table spells them, "" for none; None without such a column."""


def read_table(table: Path) -> Table:
    """Read a table.

    Args:
        table: A `.csv` file in UTF-8 whose first line names the columns, or a `.parquet` file, which needs pyarrow.

    Raises:
        ValueError: The table is damaged, lacks a column, has no row, or a row has no path or no label.
        ModuleNotFoundError: pyarrow is not installed.
        OSError: The table cannot be read.
    """
    columns: tuple[list[str], ...] = ([], [], [])
    has_split = False
    try:
        for where, row in (_parquet_rows if table.suffix.lower() == ".parquet" else _csv_rows)(table):
            path, label, split = (value if value is None else value.strip() for value in row)
            if not path or not label:
                raise ValueError(f"{where} has no {'label' if path else 'path'}")
            has_split = split is not None
            for column, value in zip(columns, (path, label, split or ""), strict=True):
                column.append(value)
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{table}: {error}") from error
    except OSError as error:
        if error.errno is not None:  # pyarrow reports damage as an error of the system without a number
            raise
        raise ValueError(f"{table}: {error}") from error
    paths, labels, splits = columns
    if not paths:
        raise ValueError(f"{table} has no row of data")
    return Table(paths, labels, splits if has_split else None)


_Row = tuple[str, tuple[str | None, str | None, str | None]]
"""Where the row is, and its path, label and split; the split is None without such a column."""


def _csv_rows(table: Path) -> Iterator[_Row]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not set(COLUMNS) <= set(rows.fieldnames or ()):
            raise ValueError(f"the first line must have the columns {' and '.join(COLUMNS)}; got {rows.fieldnames}")
        has_split = SPLIT in (rows.fieldnames or ())
        for row in rows:
            where = f"line {rows.line_num}"
            if None in row:
                raise ValueError(f'{where} has more values than the first line; put a value with a comma into "quotes"')
            yield where, (row["path"], row["label"], (row[SPLIT] or "") if has_split else None)


def _parquet_rows(table: Path) -> Iterator[_Row]:
    parquet = import_extra("pyarrow.parquet", "train")
    with table.open("rb") as content, parquet.ParquetFile(content) as file:
        names = file.schema_arrow.names
        if not set(COLUMNS) <= set(names):
            raise ValueError(f"it must have the columns {' and '.join(COLUMNS)}; got {names}")
        wanted = [*COLUMNS, *([SPLIT] if SPLIT in names else [])]
        if any(names.count(name) > 1 for name in wanted):
            raise ValueError(f"it must have each column once; got {names}")
        for name in wanted:
            _check_type(name, file.schema_arrow.field(name).type)
        number = 0
        for batch in file.iter_batches(columns=wanted):
            values = [[_text(value) for value in batch.column(name).to_pylist()] for name in wanted]
            if SPLIT not in names:
                values.append([None] * batch.num_rows)
            else:
                values[2] = [value or "" for value in values[2]]
            for path, label, split in zip(*values, strict=True):
                number += 1
                yield f"row {number}", (path, label, split)


def _check_type(name: str, kind: Any) -> None:
    types = import_extra("pyarrow.types", "train")
    value = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(value) or types.is_large_string(value) or types.is_string_view(value)
    if not text and not (name == "label" and types.is_integer(value)):
        allowed = "text or whole numbers" if name == "label" else "text"
        raise ValueError(f"the column {name} must be {allowed}; got {kind}")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
