"""Images with the names of their classes: a folder with a folder per class, or a table of paths and labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import Label
from keras_archs.training.class_names import ClassNames, Naming

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
"""Suffixes of the image files in a class folder, in lower case; the content alone decides the format."""

COLUMNS: Final = ("path", "label")
"""Columns of a table; further columns are ignored."""


@dataclass(frozen=True)
class NamedImages:
    """Paths of images, each with the name of its class as the folder or the table spells it."""

    root: Path
    """Folder that the paths are relative to."""
    paths: Sequence[str]
    """Path of each image; at least one."""
    names: Sequence[str]
    """Name of each class that has an image."""
    positions: NDArray[np.int32]
    """Position in `names` for each image."""
    origin: Literal["class folders", "labels in the table"]
    """What the names are."""
    empty: Sequence[str] = ()
    """Class folders without an image."""
    ignored: Sequence[str] = ()
    """Paths of files that are no images by their suffix, or are in no class folder."""


@dataclass(frozen=True)
class LabelledImages:
    """Paths of images, each with the index of its class in a network's output."""

    root: Path
    """Folder that the paths are relative to."""
    paths: Sequence[str]
    """Path of each image; at least one."""
    classes: NDArray[np.int32]
    """Index of the right class for each image."""


def read_images(source: Path) -> NamedImages:
    """List the images of a folder with a folder per class, or of a table.

    Args:
        source: A folder, or a `.csv` file in UTF-8 whose first line is `path,label`. Paths are relative to the file.

    Raises:
        ValueError: There is no image, or the source is of another kind; the message says what is allowed.
        OSError: The source cannot be read.
    """
    if source.is_dir():
        return _read_folder(source)
    if source.suffix.lower() != ".csv":
        source.stat()  # says if there is no such file
        raise ValueError(
            f"images are a folder with a folder per class, or a .csv file with a column of paths and "
            f"a column of labels; got {source}"
        )
    return _read_table(source)


def label_images(images: NamedImages, labels: Sequence[Label], naming: Naming | None = None) -> LabelledImages:
    """Find the class of each image in a network's output.

    Args:
        images: Images with the names of their classes.
        labels: Labels of the network's classes, in the order of the outputs.
        naming: What the names are; None for labels, indices or WordNet ids.

    Raises:
        ClassNameError: A name stands for no class, or for several.
    """
    classes = ClassNames(labels, naming).find(images.names, images.origin)
    return LabelledImages(images.root, images.paths, np.array(classes, np.int32)[images.positions])


def _read_folder(root: Path) -> NamedImages:
    paths: list[str] = []
    names: list[str] = []
    counts: list[int] = []
    empty: list[str] = []
    ignored: list[str] = []
    for entry in sorted(root.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            ignored.append(entry.name)
            continue
        before = len(paths)
        for path in _files(entry):
            (paths if Path(path).suffix.lower() in SUFFIXES else ignored).append(path)
        if len(paths) == before:
            empty.append(entry.name)
        else:
            names.append(entry.name)
            counts.append(len(paths) - before)
    if not paths:
        raise ValueError(
            f"{root} has {len(empty)} class folders and {len(ignored)} other files, but no image in a class folder; "
            f"put each image into a folder that is named after its class ({', '.join(sorted(SUFFIXES))}), or give a "
            "table: a .csv file with the columns path and label"
        )
    positions = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    return NamedImages(root, paths, names, positions, "class folders", empty, ignored)


def _files(class_folder: Path) -> Iterator[str]:
    """Yield the files in a class folder and in the folders inside, relative to the folder of all classes."""
    for folder, folders, files in os.walk(class_folder, onerror=_fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(folder).relative_to(class_folder.parent)
        yield from (str(relative / name) for name in sorted(files) if not name.startswith("."))


def _fail(error: OSError) -> None:
    raise error


def _read_table(table: Path) -> NamedImages:
    paths: list[str] = []
    positions: list[int] = []
    names: dict[str, int] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not set(COLUMNS) <= set(rows.fieldnames or ()):
                raise ValueError(f"the first line must have the columns {' and '.join(COLUMNS)}; got {rows.fieldnames}")
            for row in rows:
                path, name = ((row[column] or "").strip() for column in COLUMNS)
                if not path or not name:
                    raise ValueError(f"line {rows.line_num} has no {'label' if path else 'path'}")
                paths.append(path)
                positions.append(names.setdefault(name, len(names)))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{table}: {error}") from error
    if not paths:
        raise ValueError(f"{table} has no line after its heading")
    return NamedImages(table.parent, paths, list(names), np.array(positions, np.int32), "labels in the table")
