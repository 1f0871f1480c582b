"""`metrics.csv`: a line per epoch."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from keras_archs.training.tuning.checkpoints import replacing
from keras_archs.training.tuning.history import EpochMetrics

_COLUMNS: Final = tuple(field.name for field in dataclasses.fields(EpochMetrics))
_INTEGERS: Final = ("epoch", "step")


def read_metrics(path: Path) -> tuple[EpochMetrics, ...]:
    """Read the epochs so far; none if there is no such file.

    Raises:
        ValueError: The file has other columns, or a value that is no number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    try:
        return tuple(map(_epoch, csv.DictReader(io.StringIO(text))))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: its columns are numbers named {', '.join(_COLUMNS)}") from error


def _epoch(row: Mapping[str, str]) -> EpochMetrics:
    numbers: dict[str, Any] = {name: int(row[name]) if name in _INTEGERS else float(row[name]) for name in _COLUMNS}
    return EpochMetrics(**numbers)


def add_metrics(path: Path, metrics: EpochMetrics) -> Sequence[EpochMetrics]:
    """Add a line for an epoch, in the place of lines of this and later epochs.

    A training that goes on after it was killed repeats the steps since its last checkpoint, whose epochs may have
    lines already.

    Returns:
        All epochs in the file.
    """
    epochs = [*(row for row in read_metrics(path) if row.epoch < metrics.epoch), metrics]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    table.writerows(dataclasses.astuple(row) for row in epochs)
    with replacing(path) as incoming:
        incoming.write_text(text.getvalue(), encoding="utf-8")
    return epochs
