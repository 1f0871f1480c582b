"""The table of answers as Arrow has it: text in UTF-8 only, whatever bytes the names of files have."""

from __future__ import annotations

from keras_archs.batch.rows import Row
from keras_archs.batch.table import TableSchema
from keras_archs.images.labels import Label


def test_bytes_of_a_name_that_are_not_utf8_are_written_as_numbers() -> None:
    latin1 = b"caf\xe9.jpg".decode(errors="surrogateescape")  # as Python has the names of files
    batch = TableSchema([Label("cat")]).batch(
        [Row(f"photos/{latin1}", error=f"{latin1} is lost."), Row("photos/café.jpg")]
    )
    assert batch.column("path").to_pylist() == [r"photos/caf\xe9.jpg", "photos/café.jpg"]
    assert batch.column("error").to_pylist() == [r"caf\xe9.jpg is lost.", None]
