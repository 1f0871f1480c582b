"""Which pictures calibrate and which measure: distinct ones, enough of them, and no picture does both."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.quantization.pictures import divide, read_pictures
from keras_archs.repository.checksums import sha256_of
from keras_archs.training.data.image_folder import label_images, read_images
from keras_archs.training.data.labelled_images import LabelledImages
from tests.support.quantizable import CLASSES, SIDE

PREPROCESSING = Preprocessing(size=(SIDE, SIDE), mean=(0, 0, 0), std=(255, 255, 255))
NO_DIGESTS: frozenset[str] = frozenset()


def labelled_images(folder: Path) -> LabelledImages:
    return label_images(read_images(folder), [Label(name) for name in CLASSES])


def digests(images: LabelledImages) -> set[str]:
    return {sha256_of(images.root / path) for path in images.paths}


def test_no_picture_both_calibrates_and_measures(pictures: Path) -> None:
    read = read_pictures(pictures, PREPROCESSING)
    assert (len(read.calibration), len(read.agreement)) == (120, 100)
    assert read.calibration.shape[1:] == (SIDE, SIDE, 3)
    seen = {image.tobytes() for image in read.calibration}
    assert seen.isdisjoint(image.tobytes() for image in read.agreement)


def test_the_fingerprint_is_that_of_the_content_that_calibrates(pictures: Path, tmp_path: Path) -> None:
    read = read_pictures(pictures, PREPROCESSING)
    moved = shutil.copytree(pictures, tmp_path / "moved")
    assert read_pictures(moved, PREPROCESSING).fingerprint == read.fingerprint
    for path in sorted(moved.glob("red/*")):
        path.write_bytes((pictures / "green" / "1.png").read_bytes() + path.name.encode())
    assert read_pictures(moved, PREPROCESSING).fingerprint != read.fingerprint


def test_repeated_and_unreadable_files_do_not_count(pictures: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    (folder / "again.png").write_bytes((folder / "red" / "0.png").read_bytes())
    (folder / "broken.jpg").write_bytes(b"no image")
    read = read_pictures(folder, PREPROCESSING)
    assert len(read.calibration) + len(read.agreement) == 220
    assert (read.repeated, read.unreadable) == (1, (str(folder / "broken.jpg"),))


def test_too_few_pictures_are_refused_with_what_is_needed(pictures: Path) -> None:
    with pytest.raises(ValueError, match=r"74 distinct pictures .* needed are 200 .* 100 to calibrate with, and 100"):
        read_pictures(pictures / "red", PREPROCESSING)
    with pytest.raises(ValueError, match=r"in a folder; .*0\.png is a file"):
        read_pictures(pictures / "red" / "0.png", PREPROCESSING)
    with pytest.raises(ValueError, match=r"in a folder; .*pink is no folder"):
        read_pictures(pictures / "pink", PREPROCESSING)


def test_labelled_pictures_that_calibrate_are_left_out(labelled: Path) -> None:
    images = labelled_images(labelled)
    calibrating = frozenset(sorted(digests(images))[:40])
    divided = divide(images, calibrating, PREPROCESSING, max_drop=2)
    control, report = digests(divided.control), digests(divided.report)
    assert (len(control), len(report), divided.left_out) == (80, 80, 40)
    assert control.isdisjoint(report) and calibrating.isdisjoint(control | report)


def test_labelled_pictures_must_be_enough_to_notice_the_allowed_drop(labelled: Path) -> None:
    with pytest.raises(ValueError, match=r"200 distinct labelled pictures .* needed are 400"):
        divide(labelled_images(labelled), NO_DIGESTS, PREPROCESSING, max_drop=0.5)


def test_damaged_labelled_pictures_do_not_count(labelled: Path, tmp_path: Path) -> None:
    """Accuracy on the few that can be read would say nothing about a loss of one picture in a hundred."""
    folder = shutil.copytree(labelled, tmp_path / "labelled")
    damaged = sorted(folder.glob("red/*"))[:20]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:60])
    divided = divide(labelled_images(folder), NO_DIGESTS, PREPROCESSING, max_drop=2)
    assert (len(divided.control.paths), len(divided.report.paths), divided.left_out) == (90, 90, 0)
    assert sorted(divided.unreadable) == sorted(map(str, damaged))
    with pytest.raises(ValueError, match=r"180 distinct .* \(20 cannot be read\); needed are 200"):
        divide(labelled_images(folder), NO_DIGESTS, PREPROCESSING, max_drop=1)


def test_labels_stay_with_their_pictures(labelled: Path) -> None:
    divided = divide(labelled_images(labelled), NO_DIGESTS, PREPROCESSING, max_drop=1)
    for images in (divided.control, divided.report):
        assert [Path(path).parent.name for path in images.paths] == [CLASSES[index] for index in images.classes]
    assert len(np.unique(divided.report.classes)) == 3
