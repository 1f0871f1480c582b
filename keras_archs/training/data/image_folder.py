"""Images with the names of their classes: a folder with a folder per class, or a table of paths and labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_archs.images.labels import Label
from keras_archs.training.data.class_checks import check_counts, check_known, class_name
from keras_archs.training.data.class_folders import read_class_folders
from keras_archs.training.data.class_names import ClassNames, Naming
from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages, NamedImages
from keras_archs.training.data.layouts import read_layout, read_table_images
from keras_archs.training.data.splits import draw


def read_images(source: Path) -> NamedImages:
    """List the images of a folder with a folder per class, or of a table.

    Args:
        source: A folder, or a `.csv` file in UTF-8 whose first line has the columns `path` and `label`, or a `.parquet`
            file with these columns. Paths are relative to the file.

    Raises:
        ValueError: There is no image, or the source is of another kind; the message says what is allowed.
        ModuleNotFoundError: The source is a `.parquet` file, and pyarrow is not installed.
        OSError: The source cannot be read.
    """
    if source.is_dir():
        return read_class_folders(source)
    return read_table_images(source)


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


def image_folder(source: str | os.PathLike[str], *, validation_share: float = 0.2, seed: int = 0) -> Dataset:
    """Read a data set: a folder with a folder of images per class, divided or not, or a table.

    Three layouts are understood. Class folders, of which validation images are drawn::

        photos/
          rose/   1.jpg  2.png
          tulip/  3.webp

    Class folders in `train`, `val` (or `valid`, `validation`) and `test`; the last two may be missing::

        photos/
          train/  rose/  1.jpg  2.png
                  tulip/ 3.webp
          val/    rose/  4.jpg
                  tulip/ 5.jpg

    A `.csv` file in UTF-8 or a `.parquet` file with the columns `path`, `label` and perhaps `split`, whose values are
    `train`, `val` (or `valid`, `validation`) and `test`. Paths are relative to the table; absolute paths, and paths
    that lead out of its folder, are allowed::

        path,label,split
        2024/1.jpg,rose,train
        2024/4.jpg,rose,val

    Images are `.jpg`, `.jpeg`, `.png`, `.webp`, `.bmp` or `.gif` files; their content is not looked at here. The
    classes are the names of the training images' folders or labels, sorted. A table may have an image several times
    with one label, which counts once.

    Validation images are drawn from the training images of each class that has none. The draw depends on seed and path
    of each image alone: with one class more, all other classes keep their division; an image that is added moves at
    most one other image of its class.

    Args:
        source: The folder or the table.
        validation_share: Share of the images of a class that is drawn to validate, above 0 and below 1; at least 1
            image, and at most all but 1.
        seed: Seed of the draw.

    Returns:
        The data set.

    Raises:
        ValueError: The source has none of these layouts, a name cannot be the name of a class, two names are easily
            confused, there are fewer than two classes or too few images in a class, or a table contradicts itself or
            names files that do not exist. The message says what was found and what is allowed.
        ModuleNotFoundError: The source is a `.parquet` file, and pyarrow is not installed.
        OSError: The source cannot be read.
    """
    if not 0 < validation_share < 1:
        raise ValueError(f"validation_share must be above 0 and below 1; got {validation_share}")
    path = Path(source)
    found = read_layout(path)
    train = found.images["train"]
    classes = tuple(sorted(map(class_name, train.names)))
    for split, images in found.images.items():
        check_known(map(class_name, images.names), classes, found.places[split])
    labelled = {split: _labelled(images, classes) for split, images in found.images.items()}
    counts = _counts(labelled["train"], classes)
    validated = _counts(labelled["validation"], classes) if "validation" in labelled else {}
    drawn = [name for name in classes if not validated.get(name)]
    check_counts(counts, drawn, found.hint)
    if drawn:
        among = np.array([classes.index(name) for name in drawn], np.int32)
        whole = labelled["train"]
        mask = draw(whole.paths, whole.classes, validation_share, among=among, seed=seed)
        labelled["train"] = whole.take(np.flatnonzero(~mask))
        labelled["validation"] = _joined(labelled.get("validation"), whole.take(np.flatnonzero(mask)))
    return Dataset(
        source=str(source),
        classes=classes,
        train=labelled["train"],
        validation=labelled["validation"],
        test=labelled.get("test"),
        empty=found.empty,
        ignored=found.ignored,
        drawn=drawn,
        repeated=found.repeated,
    )


def _labelled(images: NamedImages, classes: Sequence[str]) -> LabelledImages:
    index = {name: position for position, name in enumerate(classes)}
    of_name = np.array([index[class_name(name)] for name in images.names], np.int32)
    return LabelledImages(images.root, images.paths, of_name[images.positions])


def _counts(images: LabelledImages, classes: Sequence[str]) -> dict[str, int]:
    return dict(zip(classes, np.bincount(images.classes, minlength=len(classes)).tolist(), strict=True))


def _joined(first: LabelledImages | None, second: LabelledImages) -> LabelledImages:
    if first is None:
        return second
    return LabelledImages(first.root, [*first.paths, *second.paths], np.concatenate([first.classes, second.classes]))
