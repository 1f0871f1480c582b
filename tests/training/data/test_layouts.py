"""A data set is read from each layout that is promised, and what is wrong with it is an error or is reported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from keras_archs.training import Dataset, image_folder


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def images(folder: str, count: int) -> list[str]:
    return [f"{folder}/{number}.jpg" for number in range(count)]


def table(root: Path, *rows: str, columns: str = "path,label", files: Iterable[str] | None = None) -> Path:
    """Write a table, and the files that it names unless other files are given."""
    path = root / "images.csv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    touch(root, *([row.split(",")[0] for row in rows] if files is None else files))
    return path


def divided(data: Dataset) -> dict[str, set[str]]:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: set(part.paths) for name, part in parts.items() if part}


def labels(data: Dataset) -> dict[str, str]:
    parts = [part for part in (data.train, data.validation, data.test) if part]
    return {
        path: data.classes[index]
        for part in parts
        for path, index in zip(part.paths, part.classes.tolist(), strict=True)
    }


def test_validation_images_are_drawn_from_class_folders(tmp_path: Path) -> None:
    data = image_folder(touch(tmp_path, *images("tulip", 10), *images("rose", 5)))
    assert data.classes == ("rose", "tulip")
    assert (len(data.train.paths), len(data.validation.paths), data.test) == (12, 3, None)
    assert data.drawn == ["rose", "tulip"]
    assert all(path.startswith(name) for path, name in labels(data).items())
    assert data.train.root == data.validation.root == tmp_path
    assert data.may_flip


def test_the_division_is_the_same_for_the_same_seed_and_with_one_class_more(tmp_path: Path) -> None:
    touch(tmp_path, *images("rose", 20), *images("tulip", 20))
    first = image_folder(tmp_path, validation_share=0.3, seed=7)
    assert divided(image_folder(tmp_path, validation_share=0.3, seed=7)) == divided(first)
    assert divided(image_folder(tmp_path, validation_share=0.3, seed=8)) != divided(first)
    more = image_folder(touch(tmp_path, *images("daisy", 20)), validation_share=0.3, seed=7)
    for name, paths in divided(first).items():
        assert paths == {path for path in divided(more)[name] if not path.startswith("daisy")}


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_division_folders_are_kept_as_they_are(tmp_path: Path, validation: str) -> None:
    given = {
        "train": {*images("train/rose", 3), *images("train/tulip", 1)},
        "validation": {*images(f"{validation}/rose", 1), *images(f"{validation}/tulip", 2)},
        "test": set(images("test/tulip", 1)),
    }
    data = image_folder(touch(tmp_path, *(path for paths in given.values() for path in paths)))
    assert divided(data) == given
    assert (data.classes, data.drawn) == (("rose", "tulip"), [])
    assert all(f"/{name}/" in path for path, name in labels(data).items())


def test_without_a_validation_folder_validation_images_are_drawn_from_the_training_images(tmp_path: Path) -> None:
    touch(tmp_path, *images("train/rose", 10), *images("train/tulip", 10), *images("test/rose", 4))
    data = image_folder(tmp_path)
    assert {name: len(paths) for name, paths in divided(data).items()} == {"train": 16, "validation": 4, "test": 4}
    assert all(path.startswith("train/") for path in data.validation.paths)


def test_a_class_without_validation_images_gets_some_of_its_training_images(tmp_path: Path) -> None:
    touch(tmp_path, *images("train/rose", 10), *images("train/tulip", 10), *images("val/rose", 4))
    data = image_folder(tmp_path)
    assert data.drawn == ["tulip"]
    assert set(data.validation.paths) > set(images("val/rose", 4))
    assert [path for path in data.train.paths if "rose" in path] == images("train/rose", 10)
    assert sum("tulip" in path for path in data.validation.paths) == 2


def test_a_class_may_be_named_train(tmp_path: Path) -> None:
    assert image_folder(touch(tmp_path, *images("bus/red", 2), *images("train", 2))).classes == ("bus", "train")


def test_a_table_divides_its_images_or_lets_them_be_drawn(tmp_path: Path) -> None:
    rows = ["a.jpg,rose,train", "b.jpg,tulip,TRAIN", "c.jpg,rose,val", "d.jpg,tulip,valid", "e.jpg,rose,test"]
    data = image_folder(table(tmp_path, *rows, columns="path,label,split"))
    assert divided(data) == {"train": {"a.jpg", "b.jpg"}, "validation": {"c.jpg", "d.jpg"}, "test": {"e.jpg"}}
    assert labels(data)["d.jpg"] == "tulip"
    drawn = image_folder(table(tmp_path, *(row.rsplit(",", 1)[0] for row in rows)))
    assert {name: len(paths) for name, paths in divided(drawn).items()} == {"train": 3, "validation": 2}


def test_a_parquet_file_is_read_as_a_csv_file_is(tmp_path: Path) -> None:
    rows = [(f"{number}.jpg", "rose" if number % 3 else "tulip") for number in range(12)]
    text = image_folder(table(tmp_path, *(",".join(row) for row in rows)))
    path = tmp_path / "images.parquet"
    paths, names = zip(*rows, strict=True)
    parquet.write_table(pyarrow.table({"path": paths, "label": names}), path)
    assert (divided(image_folder(path)), image_folder(path).classes) == (divided(text), text.classes)


def test_a_table_may_have_absolute_paths_and_paths_out_of_its_folder(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path, *images("all", 2))
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = [f"{elsewhere}/all/0.jpg,rose", "../all/1.jpg,rose", "2.jpg,tulip", "3.jpg,tulip"]
    data = image_folder(table(folder, *rows, files=["2.jpg", "3.jpg"]))
    assert all((data.train.root / path).is_file() for path in [*data.train.paths, *data.validation.paths])


def test_a_repeated_row_counts_once_and_is_reported(tmp_path: Path) -> None:
    rows = ["a.jpg,rose", "b.jpg,rose", "./a.jpg,rose", "c.jpg,tulip", "d.jpg,tulip", "x/../a.jpg,rose"]
    data = image_folder(table(tmp_path, *rows, files=["a.jpg", "b.jpg", "c.jpg", "d.jpg"]))
    assert (len(labels(data)), data.repeated) == (4, ["./a.jpg", "x/../a.jpg"])


def test_what_is_skipped_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, *images("train/rose", 2), *images("train/tulip", 2), "train/list.txt", "notes.md", "train/.x/a.jpg")
    (tmp_path / "train" / "daisy").mkdir()
    (tmp_path / "train" / "rose" / "more").symlink_to(tmp_path / "train" / "tulip")
    data = image_folder(tmp_path)
    assert data.empty == ["train/daisy"]
    assert sorted(data.ignored) == ["notes.md", "train/list.txt", "train/rose/more"]
    assert data.classes == ("rose", "tulip")


def test_accents_are_the_same_class_in_each_division(tmp_path: Path) -> None:
    touch(tmp_path, *images("train/cafe\u0301", 2), *images("val/caf\u00e9", 2), *images("train/tea", 2))
    data = image_folder(touch(tmp_path, *images("val/tea", 1)))
    assert data.classes == ("caf\u00e9", "tea")
    assert len(data.validation.paths) == 3


ROSES = [*images("rose", 3), *images("tulip", 3)]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ([], "0 class folders and 0 other files, but no image in a class folder"),
        (["rose/a.txt", "a.jpg"], "1 class folders and 2 other files, but no image in a class folder"),
        (images("rose", 5), "at least two classes with images; got 'rose'$"),
        (
            ["flowers/rose/1.jpg", "flowers/tulip/1.jpg"],
            "has the folders 'rose', 'tulip': if they are the classes, ",
        ),
        ([*ROSES, "daisy/1.jpg"], "at least 2 images, .* 1 of 3 classes have 1: 'daisy'"),
        ([*ROSES, *images("red\nrose", 2)], r"1 of 3 class folders cannot be .*'red\\nrose' contains a line break"),
        ([*ROSES, *images("r\\s", 2)], "contains a slash"),
        ([*ROSES, *images("x" * 150, 2)], "longer than 100 characters"),
        ([*ROSES, *images("r\udcff", 2)], r"'r\\udcff' contains bytes that are no text"),
        ([*ROSES, *images("Rose", 2)], "class folders that differ only in upper and lower case.*: 'Rose' and 'rose'"),
        ([*ROSES, *images("rose ", 2)], "class folders that differ only .*: 'rose' and 'rose '"),
        (images("train", 3), "no image in a class folder"),
        ([*images("train", 3), *images("val", 3)], "train has 0 class folders .*, but no image in a class folder"),
        ([*images("val/rose", 3), *images("test/rose", 3)], "which divide images, and no folder 'train'"),
        ([*images("train/rose", 3), *images("val/rose", 3), "cat/1.jpg"], "which divide images, and also 'cat'"),
        ([*images("train/r", 3), *images("val/r", 3), *images("valid/r", 3)], "two folders of validation images"),
        (
            [*images("train/a", 3), *images("train/b", 3), *images("val/A", 1)],
            r"without a .*: 'A' \(is it 'a'\?",
        ),
        ([*images("train/a", 3), *images("train/b", 3), *images("test/c", 1)], "test has classes without .*: 'c'"),
        ([*images("train/a", 3), *images("train/b", 1), *images("val/a", 1)], "at least 2 images, .*: 'b'"),
        ([*images("train/a", 3), "val/a/x.txt"], "val has 1 class folders and 1 other files, but no image"),
    ],
)
def test_a_folder_that_nothing_can_be_trained_with_is_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_folder(touch(tmp_path, *paths))


FOUR = ["a.jpg,rose,train", "b.jpg,rose,val", "c.jpg,tulip,train", "d.jpg,tulip,val"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["e.jpg,rose,dev"], r"the column split has 'dev' \(1 x\); allowed are train, val, valid, validation, test"),
        (["e.jpg,rose,"], r"the column split has '' \(1 x\)"),
        (["e.jpg,a/b,train"], "1 of 3 labels in the table cannot be names of classes: 'a/b' contains a slash"),
        (["e.jpg,Rose,train"], "labels in the table that differ only in .*: 'rose' and 'Rose'"),
        (["a.jpg,tulip,train"], r"one label and one split; 1 have two: 'a\.jpg' \('rose' and 'tulip'\)"),
        (["./a.jpg,rose,test"], r"one label and one split; 1 have two: '\./a\.jpg' \('train' and 'test'\)"),
        (["e.jpg,daisy,val"], "the split 'validation' has classes without a training image: 'daisy'"),
        (["e.jpg,daisy,train"], "at least 2 images, .*: 'daisy'"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_folder(table(tmp_path, *FOUR, *rows, columns="path,label,split"))


def test_files_that_do_not_exist_are_named_before_anything_is_computed(tmp_path: Path) -> None:
    rows = [f"{number}.jpg,rose" for number in range(9)]
    rows += ["folder,tulip", "nul\0.jpg,tulip"]
    path = table(tmp_path, *rows, files=["0.jpg", "folder/1.jpg"])
    found = re.escape("10 of 11 files do not exist in ") + ".*: '1.jpg', '2.jpg', '3.jpg', '4.jpg', '5.jpg' and 5 more"
    with pytest.raises(ValueError, match=found):
        image_folder(path)


def test_a_table_without_training_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"images\.csv: no image has the split 'train'"):
        image_folder(table(tmp_path, "a.jpg,rose,val", columns="path,label,split"))


@pytest.mark.parametrize("target", [".", ".."])
def test_a_class_folder_that_leads_back_to_the_data_is_refused(tmp_path: Path, target: str) -> None:
    data = touch(tmp_path / "data", *ROSES)
    (data / "loop").symlink_to((data / target).resolve())
    with pytest.raises(ValueError, match="loop is a link to a folder that contains it"):
        image_folder(data)


@pytest.mark.parametrize("target", ["rose", "rose/more"])
def test_two_classes_with_one_folder_are_refused(tmp_path: Path, target: str) -> None:
    touch(tmp_path, *ROSES, *images("rose/more", 2))
    (tmp_path / "daisy").symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match=r"class folders '(daisy|rose)' and '(daisy|rose)' .* would have two classes"):
        image_folder(tmp_path)


def test_a_link_that_leads_to_itself_is_ignored(tmp_path: Path) -> None:
    touch(tmp_path, *ROSES)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "rose" / "loop").symlink_to(tmp_path / "rose" / "loop")
    data = image_folder(tmp_path)
    assert (data.classes, sorted(data.ignored)) == (("rose", "tulip"), ["loop", "rose/loop"])


def test_a_folder_that_cannot_be_read_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, *ROSES)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "tulip":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="tulip"):
        image_folder(tmp_path)


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1; got"):
        image_folder(tmp_path, validation_share=share)


def test_a_source_that_does_not_exist_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        image_folder(tmp_path / "nowhere.csv")
