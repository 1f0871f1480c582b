"""Tables of paths and labels, as .csv and as .parquet files, give the same columns or say what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from keras_archs.training.data.image_folder import read_images
from keras_archs.training.data.tables import read_table


def write(folder: Path, columns: dict[str, object]) -> Path:
    path = folder / "images.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_parquet_file_gives_what_a_csv_file_gives(tmp_path: Path) -> None:
    text = tmp_path / "images.csv"
    text.write_text("width,path,label,split\n3,a.jpg, owl ,train\n4,b.jpg,7,\n")
    columns = {"split": ["train", None], "label": [" owl ", "7"], "path": ["a.jpg", "b.jpg"], "width": [3, 4]}
    table = read_table(write(tmp_path, columns))
    assert table == read_table(text)
    assert (table.paths, table.labels, table.splits) == (["a.jpg", "b.jpg"], ["owl", "7"], ["train", ""])


def test_labels_in_a_parquet_file_may_be_numbers_or_categories(tmp_path: Path) -> None:
    numbers = {"path": ["a.jpg", "b.jpg"], "label": [3, 12]}
    assert read_table(write(tmp_path, numbers)).labels == ["3", "12"]
    categories = pyarrow.array(["owl", "eel"]).dictionary_encode()
    assert read_table(write(tmp_path, {"path": ["a", "b"], "label": categories})).labels == ["owl", "eel"]


def test_images_to_evaluate_may_be_in_a_parquet_file(tmp_path: Path) -> None:
    named = read_images(write(tmp_path, {"path": ["a.jpg", "b.jpg", "c.jpg"], "label": ["owl", "eel", "owl"]}))
    assert (named.names, named.positions.tolist(), named.root) == (["owl", "eel"], [0, 1, 0], tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a"]}, r"must have the columns path and label; got \['path'\]"),
        ({"path": ["a", None], "label": ["x", "y"]}, "row 2 has no path"),
        ({"path": ["a", "b"], "label": ["x", " "]}, "row 2 has no label"),
        ({"path": ["a"], "label": [0.5]}, "column label must be text or whole numbers; got double"),
        ({"path": [b"a"], "label": ["x"]}, "column path must be text; got binary"),
        ({"path": ["a"], "label": ["x"], "split": [1]}, "column split must be text; got int64"),
        ({"path": pyarrow.array([], "string"), "label": pyarrow.array([], "string")}, "has no row of data"),
    ],
)
def test_a_parquet_file_that_cannot_be_understood_is_refused(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"images\.parquet.*{message}"):
        read_table(write(tmp_path, columns))


@pytest.mark.parametrize("content", [b"", b"path,label\na.jpg,owl\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.parquet: "):
        read_table(path)


def test_a_path_with_a_comma_that_is_not_quoted_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text("path,label\na.jpg,owl\nb,c.jpg,owl\n")
    with pytest.raises(ValueError, match=r'line 3 has more values than the first line; put .* into "quotes"'):
        read_table(table)


def test_without_pyarrow_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {"path": ["a"], "label": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'keras-archs\[train\]'"):
        read_table(path)
