"""One file of many: the shards of a run, put together as Parquet, CSV or JSON lines, one after the other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from keras_archs.analysis.extras import import_extra

pa = import_extra("pyarrow", "batch")
parquet = import_extra("pyarrow.parquet", "batch")

_ROW_GROUP_BYTES: Final = 32_000_000
"""Bytes in memory of a row group: few enough to be read at once, many enough to be read quickly."""

_ABOUT: Final = "keras_archs"
"""Key of the metadata of a Parquet file that says what the rows are."""


def put_together(parts: Sequence[Path], path: Path, suffix: str, about: Mapping[str, Any]) -> None:
    """Write the rows of several Parquet files into one file, in their order.

    Args:
        parts: The files, at least one.
        path: File to write.
        suffix: Key of `FORMATS`.
        about: What the rows are, as data that `json` can write; a Parquet file keeps it in its metadata.
    """
    FORMATS[suffix](parts, path, about)


def _batches(parts: Sequence[Path]) -> Iterator[Any]:
    for part in parts:
        with part.open("rb") as content, parquet.ParquetFile(content) as file:
            yield from file.iter_batches()


def _write_parquet(parts: Sequence[Path], path: Path, about: Mapping[str, Any]) -> None:
    columns = parquet.read_schema(parts[0]).with_metadata({_ABOUT: json.dumps(about)})
    with parquet.ParquetWriter(path, columns, compression="zstd") as writer:
        group: list[Any] = []

        def write() -> None:
            writer.write_table(pa.Table.from_batches(group, columns))
            group.clear()

        for batch in _batches(parts):
            group.append(batch.replace_schema_metadata(columns.metadata))
            if sum(kept.nbytes for kept in group) > _ROW_GROUP_BYTES:
                write()
        if group:
            write()


def _write_csv(parts: Sequence[Path], path: Path, about: Mapping[str, Any]) -> None:
    """Write a line per image; the best classes are in numbered columns, the best first: label_1, label_2."""
    ranks = range(1, about["top_k"] + 1)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        numbered = [f"{column}_{rank}" for rank in ranks for column in _RANKED]
        writer.writerow(["path", "width", "height", *numbered, "error"])
        nothing = [None] * len(numbered)
        for row in _rows(parts):
            best = [row[column] for column in _RANKED]
            cells = nothing if best[0] is None else [value for rank in zip(*best, strict=True) for value in rank]
            writer.writerow([row["path"], row["width"], row["height"], *cells, row["error"]])


_RANKED: Final = ("class_index", "label", "wordnet_id", "score")


def _write_json_lines(parts: Sequence[Path], path: Path, about: Mapping[str, Any]) -> None:
    """Write a JSON document per image, on a line of its own."""
    with path.open("w", encoding="utf-8") as file:
        for row in _rows(parts):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rows(parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for batch in _batches(parts):
        for row in batch.to_pylist():
            for column in ("score", "embedding"):
                if row.get(column) is not None:
                    row[column] = [round(value, _DIGITS) for value in row[column]]
            yield row


_DIGITS: Final = 7
"""Decimals of a number in a text: float32 has no more, and Python would write fifteen."""

FORMATS: Final[Mapping[str, Callable[[Sequence[Path], Path, Mapping[str, Any]], None]]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
}
"""How a file is written, by its suffix."""
