"""Lists of image files: a path per line, or a column of paths."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from keras_archs.batch.sources import places

SUFFIXES: Final = (".txt", ".csv")
_COLUMN: Final = "path"


def paths_in_list(place: str) -> Iterator[str]:
    """Yield the paths in a list; those that are relative are relative to the list's folder.

    Args:
        place: A `.txt` file with a path per line, or a `.csv` file with the column path; both in UTF-8.

    Raises:
        ValueError: The list is damaged, or has no such column.
        OSError: The list cannot be read.
    """
    folder = places.parent(place)
    with places.open_file(place) as content, io.TextIOWrapper(content, encoding="utf-8-sig", newline="") as text:
        try:
            for path in _column(text) if place.lower().endswith(".csv") else map(str.strip, text):
                if path:
                    yield places.join(folder, path)
        except (csv.Error, ValueError) as error:
            raise ValueError(f"{place}: {error}") from error


def _column(text: io.TextIOWrapper) -> Iterator[str]:
    rows = csv.DictReader(text)
    if _COLUMN not in (rows.fieldnames or ()):
        raise ValueError(f"the first line must have the column {_COLUMN}; got {', '.join(rows.fieldnames or ())}")
    for row in rows:
        yield (row[_COLUMN] or "").strip()
