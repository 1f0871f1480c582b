"""Images and the names of their classes are read from folders and from tables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from keras_archs.images.labels import Label
from keras_archs.training.data.image_folder import label_images, read_images

LABELS = (Label("cat"), Label("dog"), Label("owl"))


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "images.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_folder_has_a_folder_per_class(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.JPEG", "dog/a.png", "dog/2024/may/c.webp", "0/x.GIF", "owl/readme.txt", "list.txt", "d.jpg")
    (tmp_path / "cat").mkdir()
    named = read_images(tmp_path)
    images = label_images(named, LABELS)
    assert list(zip(images.paths, images.classes.tolist(), strict=True)) == [
        ("0/x.GIF", 0),
        ("dog/a.png", 1),
        ("dog/b.JPEG", 1),
        ("dog/2024/may/c.webp", 1),
    ]
    assert named.empty == ["cat", "owl"]
    assert named.ignored == ["d.jpg", "list.txt", "owl/readme.txt"]


def test_hidden_files_and_folders_do_not_matter(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.jpg", "cat/._a.jpg", "cat/.thumbnails/a.jpg", ".git/x.jpg", ".DS_Store")
    named = read_images(tmp_path)
    assert (named.paths, named.names, named.ignored, named.empty) == (["cat/a.jpg"], ["cat"], [], [])


def test_class_folders_may_be_links(tmp_path: Path) -> None:
    touch(tmp_path, "all/1.jpg")
    (tmp_path / "subset").mkdir()
    (tmp_path / "subset" / "dog").symlink_to(tmp_path / "all")
    (tmp_path / "all" / "circle").symlink_to(tmp_path / "all")
    assert read_images(tmp_path / "subset").paths == ["dog/1.jpg"]


@pytest.mark.parametrize("made", [[], ["a.jpg", "b.jpg"], ["cat/a.tif"]], ids=["nothing", "images", "other files"])
def test_a_folder_without_images_of_classes_is_refused(tmp_path: Path, made: list[str]) -> None:
    touch(tmp_path, *made)
    with pytest.raises(ValueError, match=r"no image in a class folder; put each image into .*, or give a table"):
        read_images(tmp_path)


def test_a_class_folder_that_cannot_be_read_is_no_empty_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cat/a.jpg", "dog/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="dog"):
        read_images(tmp_path)


def test_a_table_has_paths_relative_to_itself(tmp_path: Path) -> None:
    text = "\ufefflabel,path,width\r\nowl,val/1.jpg,10\r\n 0 ,val/2.jpg\r\nowl,/elsewhere/3\r\n"
    named = read_images(table(tmp_path, text))
    images = label_images(named, LABELS)
    assert list(zip(images.paths, images.classes.tolist(), strict=True)) == [
        ("val/1.jpg", 2),
        ("val/2.jpg", 0),
        ("/elsewhere/3", 2),
    ]
    assert images.root == tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns path and label; got None"),
        ("val/1.jpg,owl\n", re.escape("columns path and label; got ['val/1.jpg', 'owl']")),
        ("path,label\n", "no row of data"),
        ("path,label\n1.jpg,owl\n2.jpg\n", "line 3 has no label"),
        ("path,label\n  ,owl\n", "line 2 has no path"),
        ("path,label\n" + "x" * 200_000 + ",owl\n", "field larger than field limit"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"images\.csv.*{message}"):
        read_images(table(tmp_path, text))


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"images\.csv: 'utf-8' codec can't decode"):
        read_images(table(tmp_path, "path,label\n1.jpg,Kätzchen\n", "latin-1"))


def test_another_kind_of_source_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "images.json")
    with pytest.raises(ValueError, match=r"a folder with a folder per class, or a \.csv or \.parquet file"):
        read_images(tmp_path / "images.json")
    with pytest.raises(FileNotFoundError):
        read_images(tmp_path / "nowhere")
