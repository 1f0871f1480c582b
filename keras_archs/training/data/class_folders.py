"""Images in a folder with a folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from keras_archs.training.data.labelled_images import NamedImages

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
"""Suffixes of the image files in a class folder, in lower case; the content alone decides the format."""


def read_class_folders(root: Path, inside: str = "") -> NamedImages:
    """List the images of a folder with a folder per class; hidden files and folders do not matter.

    A class folder may have folders inside, whose images are of the class too, and may be a link. Links to folders in a
    class folder are not followed.

    Args:
        root: Folder that the paths are relative to.
        inside: Folder that has the class folders, relative to `root`.

    Raises:
        ValueError: There is no image in a class folder, or a link makes a folder belong to two classes.
        OSError: A folder cannot be read.
    """
    paths: list[str] = []
    names: list[str] = []
    counts: list[int] = []
    empty: list[str] = []
    ignored: list[str] = []
    folders: list[Path] = []
    parent = root / inside
    for entry in sorted(parent.iterdir()):
        if entry.name.startswith("."):
            continue
        relative = os.path.join(inside, entry.name)  # noqa: PTH118, a text, as the paths are
        if not entry.is_dir():
            ignored.append(relative)
            continue
        before = len(paths)
        for path in _files(entry, relative, ignored):
            (paths if os.path.splitext(path)[1].lower() in SUFFIXES else ignored).append(path)  # noqa: PTH122
        folders.append(entry)
        if len(paths) == before:
            empty.append(relative)
        else:
            names.append(entry.name)
            counts.append(len(paths) - before)
    if not paths:
        raise ValueError(
            f"{parent} has {len(empty)} class folders and {len(ignored)} other files, but no image in a class folder; "
            f"put each image into a folder that is named after its class ({', '.join(sorted(SUFFIXES))}), or give a "
            "table: a .csv or .parquet file with the columns path and label"
        )
    _check_links(parent, folders)
    positions = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    return NamedImages(root, paths, names, positions, "class folders", empty, ignored)


def _files(folder: Path, relative: str, links: list[str]) -> Iterator[str]:
    """Yield the files in a class folder and in the folders inside; add links to folders to `links`."""
    skipped = len(str(folder))
    for place, folders, files in os.walk(folder, onerror=_fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = relative + place[skipped:] + os.sep
        links.extend(prefix + name for name in folders if os.path.islink(os.path.join(place, name)))  # noqa: PTH114, PTH118
        yield from (prefix + name for name in sorted(files) if not name.startswith("."))


def _fail(error: OSError) -> None:
    raise error


def _check_links(parent: Path, folders: list[Path]) -> None:
    """Refuse links by which the images of a class folder would have two classes."""
    places = {folder: folder.resolve() for folder in folders if folder.is_symlink()}
    if not places:
        return
    above = parent.resolve()
    owners: dict[Path, str] = {}
    for folder in folders:
        place = places[folder] = places.get(folder, above / folder.name)
        if above.is_relative_to(place):
            raise ValueError(f"the class folder {folder} is a link to a folder that contains it: {place}")
        owners.setdefault(place, folder.name)
    for folder, place in places.items():
        shared = {owners[owned] for owned in (place, *place.parents) if owned in owners} - {folder.name}
        if shared:
            raise ValueError(
                f"the class folders {shared.pop()!r} and {folder.name!r} of {parent} share a folder, {place}, by a "
                "link: its images would have two classes"
            )
