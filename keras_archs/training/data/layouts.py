"""Where a data set's images are: class folders, class folders in division folders, or a table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.data import splits, tables
from keras_archs.training.data.class_checks import check_names
from keras_archs.training.data.class_folders import read_class_folders
from keras_archs.training.data.dataset import SPLITS, Split
from keras_archs.training.data.labelled_images import NamedImages
from keras_archs.training.data.listing import listed, shown


@dataclass(frozen=True)
class Layout:
    """Images by division, as the source has them."""

    images: Mapping[Split, NamedImages]
    """Has "train"."""
    places: Mapping[Split, str]
    """Where the images of a division are, for messages."""
    empty: Sequence[str] = ()
    ignored: Sequence[str] = ()
    repeated: Sequence[str] = ()
    hint: str = ""
    """What to do if there is one class only."""


def read_layout(source: Path) -> Layout:
    """Read the images of a folder or of a table, divided as the source divides them.

    Raises:
        ValueError: The layout is none that is understood, a name cannot be the name of a class, or a table contradicts
            itself or names files that do not exist.
        ModuleNotFoundError: The source is a `.parquet` file, and pyarrow is not installed.
        OSError: The source cannot be read.
    """
    return _read_folder(source) if source.is_dir() else _divide(source, _read_table(source))


def read_table_images(source: Path) -> NamedImages:
    """Read the images of a table, without a look at the files.

    Raises:
        ValueError: The table cannot be understood, or the file is no table.
        ModuleNotFoundError: The source is a `.parquet` file, and pyarrow is not installed.
        OSError: The source cannot be read.
    """
    return _named(source, _read_table(source))


def _read_folder(root: Path) -> Layout:
    divisions = _divisions(root)
    if not divisions:
        images = read_class_folders(root)
        check_names(images.names, images.origin)
        return Layout({"train": images}, {"train": str(root)}, images.empty, images.ignored, hint=_hint(root, images))
    read = {split: read_class_folders(root, folder) for split, folder in divisions.items()}
    for images in read.values():
        check_names(images.names, images.origin)
    loose = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".") and not entry.is_dir())
    return Layout(
        read,
        {split: f"{root / folder}" for split, folder in divisions.items()},
        [name for images in read.values() for name in images.empty],
        loose + [path for images in read.values() for path in images.ignored],
    )


def _divisions(root: Path) -> dict[Split, str]:
    """Return the folders of training, validation and test images; none if the folders are classes.

    A class may be named "train": it has images, and other classes beside it.
    """
    folders = _folders(root)
    named = [folder for folder in folders if folder.lower() in splits.NAMES]
    if named != folders:
        named = [folder for folder in named if _folders(root / folder)]
    if not named:
        return {}
    found: dict[Split, str] = {}
    for folder in named:
        split = splits.NAMES[folder.lower()]
        if split in found:
            raise ValueError(f"{root} has two folders of {split} images, {found[split]!r} and {folder!r}: keep one")
        found[split] = folder
    others = [folder for folder in folders if folder not in named]
    if "train" not in found or others:
        problem = f"also {listed(others, shown)}" if others else "no folder 'train'"
        raise ValueError(
            f"{root} has {listed(named, shown)}, which divide images, and {problem}: give either a folder per class, "
            "or class folders in 'train', 'val' and 'test', of which the last two may be missing"
        )
    return {split: found[split] for split in SPLITS if split in found}


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir())


def _hint(root: Path, images: NamedImages) -> str:
    """Return what to do if the folder with the class folders is one deeper."""
    folder = root / images.names[0]
    inside = _folders(folder)
    return f"; it has the folders {listed(inside, shown)}: if they are the classes, give {folder}" if inside else ""


def _read_table(source: Path) -> tables.Table:
    if source.suffix.lower() not in tables.SUFFIXES:
        source.stat()  # says if there is no such file
        raise ValueError(
            "images are a folder with a folder per class, or a .csv or .parquet file with a column of paths and "
            f"a column of labels; got {source}"
        )
    return tables.read_table(source)


def _named(source: Path, table: tables.Table) -> NamedImages:
    names: dict[str, int] = {}
    positions = np.array([names.setdefault(name, len(names)) for name in table.labels], np.int32)
    return NamedImages(source.parent, table.paths, list(names), positions, "labels in the table")


def _divide(source: Path, table: tables.Table) -> Layout:
    """Check a table, and divide its images as it says."""
    divisions = _splits(source, table)
    whole = _named(source, table)
    check_names(whole.names, whole.origin)
    first: dict[str, int] = {}
    repeated: list[str] = []
    contradictions: dict[str, tuple[str, str]] = {}
    for row, path in enumerate(table.paths):
        before = first.setdefault(os.path.normpath(path), row)
        if before == row:
            continue
        for values in (table.labels, divisions):
            if values[before] != values[row]:
                contradictions.setdefault(path, (values[before], values[row]))
        repeated.append(path)
    if contradictions:
        found = listed(contradictions, lambda path: f"{shown(path)} ({' and '.join(map(shown, contradictions[path]))})")
        raise ValueError(f"{source}: an image has one label and one split; {len(contradictions):,} have two: {found}")
    missing = [path for path in first if not os.path.isfile(os.path.join(whole.root, path))]  # noqa: PTH113, PTH118
    if missing:
        raise ValueError(
            f"{source}: {len(missing):,} of {len(first):,} files do not exist in {whole.root}: {listed(missing, shown)}"
        )
    rows = np.array(list(first.values()), np.intp)
    of_row = np.array(divisions)[rows]
    images = {split: _some(whole, rows[of_row == split]) for split in SPLITS if (of_row == split).any()}
    if "train" not in images:
        raise ValueError(f"{source}: no image has the split 'train'")
    return Layout(images, {split: f"{source}: the split {split!r}" for split in images}, repeated=repeated)


def _splits(source: Path, table: tables.Table) -> list[Split]:
    if table.splits is None:
        return ["train"] * len(table.paths)
    unknown = Counter(value for value in table.splits if value.lower() not in splits.NAMES)
    if unknown:
        found = listed(unknown, lambda value: f"{shown(value)} ({unknown[value]:,} x)")
        raise ValueError(f"{source}: the column split has {found}; allowed are {', '.join(splits.NAMES)}")
    return [splits.NAMES[value.lower()] for value in table.splits]


def _some(images: NamedImages, rows: NDArray[np.intp]) -> NamedImages:
    """Return some rows of a table, with the names that they have."""
    used, positions = np.unique(images.positions[rows], return_inverse=True)
    return NamedImages(
        images.root,
        [images.paths[row] for row in rows.tolist()],
        [images.names[place] for place in used.tolist()],
        positions.astype(np.int32),
        images.origin,
    )
