"""The table of answers: its columns, and rows as record batches of Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_archs.analysis.extras import import_extra
from keras_archs.batch.rows import Row
from keras_archs.images.labels import Label

pa = import_extra("pyarrow", "batch")


class TableSchema:
    """The columns of the table, and the names of the classes."""

    def __init__(self, labels: Sequence[Label], dimension: int | None = None) -> None:
        """Prepare the columns.

        Args:
            labels: Labels of the classes, in the order of their indices.
            dimension: Length of an embedding; None for no such column.
        """
        self._names = pa.array([label.name for label in labels], pa.string())
        self._wordnet_ids = pa.array([label.wordnet_id for label in labels], pa.string())
        self._has_embeddings = dimension is not None
        self.columns = pa.schema(
            [
                pa.field("path", pa.string(), nullable=False),
                pa.field("width", pa.int32()),
                pa.field("height", pa.int32()),
                pa.field("class_index", pa.list_(pa.int32())),
                pa.field("label", pa.list_(pa.string())),
                pa.field("wordnet_id", pa.list_(pa.string())),
                pa.field("score", pa.list_(pa.float32())),
                *([pa.field("embedding", pa.list_(pa.float32(), dimension))] if dimension else []),
                pa.field("error", pa.string()),
            ]
        )

    def batch(self, rows: Sequence[Row]) -> Any:
        """Return rows as a record batch."""
        answers = [row.answer for row in rows]
        answered = [answer for answer in answers if answer is not None]
        ends = np.cumsum([0 if answer is None else len(answer.classes) for answer in answers]).tolist()
        # a list that begins nowhere is null
        begins = [
            None if answer is None else end - len(answer.classes) for answer, end in zip(answers, ends, strict=True)
        ]
        offsets = pa.array([*begins, ends[-1]], pa.int32())
        classes = pa.array(_joined([answer.classes for answer in answered], np.int32))
        scores = pa.array(_joined([answer.scores for answer in answered], np.float32))
        values = {
            "path": [_as_text(row.path) for row in rows],
            "width": [row.width for row in rows],
            "height": [row.height for row in rows],
            "class_index": pa.ListArray.from_arrays(offsets, classes),
            "label": pa.ListArray.from_arrays(offsets, self._names.take(classes)),
            "wordnet_id": pa.ListArray.from_arrays(offsets, self._wordnet_ids.take(classes)),
            "score": pa.ListArray.from_arrays(offsets, scores),
            "error": [row.error and _as_text(row.error) for row in rows],
        }
        if self._has_embeddings:
            values["embedding"] = [None if answer is None else answer.embedding for answer in answers]
        return pa.RecordBatch.from_pydict(values, schema=self.columns)


def _as_text(text: str) -> str:
    r"""Return a text that may have a name of a file in it, with bytes that are not UTF-8 as `\xff`."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _joined(arrays: Sequence[Any], kind: Any) -> Any:
    return np.concatenate([np.empty(0, kind), *arrays], dtype=kind)
