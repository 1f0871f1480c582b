"""The page of a training names the data's own faults, with pictures and with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from keras_archs.training.data.dataset import Dataset, Split
from keras_archs.training.data.faults import DataFaults, Duplicate, Suspect, find_faults
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.pages.lists import LISTED
from keras_archs.training.runs.outcome import Outcome
from keras_archs.training.runs.report import report
from keras_archs.training.runs.sections.faults import PAIRS, SUSPECTS
from tests.support.answers import answers_of
from tests.support.html_page import Page
from tests.support.outcomes import CLASSES, an_outcome


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    return an_outcome(tmp_path)


def page_with(outcome: Outcome, faults: DataFaults) -> Page:
    return Page(report(replace(outcome, faults=faults)))


def pictures_of_faults(outcome: Outcome, faults: DataFaults) -> int:
    return len(page_with(outcome, faults).pictures) - len(page_with(outcome, DataFaults()).pictures)


def test_data_without_faults_has_no_sections_of_faults(outcome: Outcome) -> None:
    headings = page_with(outcome, DataFaults()).headings
    assert headings == ["Confusions", "Classes", "Reliability", "Worst errors", "Least certain", "Settings"]


def test_a_duplicate_across_the_split_is_named_and_counted_out(outcome: Outcome) -> None:
    faults = DataFaults(duplicates=(Duplicate("train-1.png", "train", "validation-0.png", "validation", 2, True),))
    page = page_with(outcome, faults)
    assert "Near-duplicates (1)" in page.headings
    assert "1 pair is in two divisions of the data" in page.text
    assert "Without 1 such validation image, the accuracy is 60.0 % instead of 66.7 %." in page.text
    assert "cat train train-1.png cat validation validation-0.png perceptual hashes differ in 2 bits of 64" in page.text
    assert "classes differ" not in page.text
    assert pictures_of_faults(outcome, faults) == 2


def test_a_duplicate_of_two_classes_is_a_label_error(outcome: Outcome) -> None:
    pair = Duplicate("train-0.png", "train", "train-3.png", "train", 0, False)
    text = page_with(outcome, DataFaults(duplicates=(pair,))).text
    assert "1 pair has two classes: one of the two is likely labelled wrongly." in text
    assert "two divisions" not in text
    assert "cat train train-0.png dog train train-3.png equal perceptual hashes, classes differ" in text


def test_a_mirror_image_is_called_so(outcome: Outcome) -> None:
    pair = Duplicate("train-0.png", "train", "validation-0.png", "validation", 1, same_class=True, mirrored=True)
    assert "mirror images, perceptual hashes differ in 1 bit of 64" in page_with(outcome, DataFaults((pair,))).text


def test_a_likely_label_error_is_a_picture_with_both_classes(outcome: Outcome) -> None:
    faults = DataFaults(suspects=(Suspect("train-4.png", "train", 1, 2, 0.9),))
    page = page_with(outcome, faults)
    assert "Possible label errors (1)" in page.headings
    assert "dog → owl? 90 % of neighbours train train-4.png" in page.text
    assert pictures_of_faults(outcome, faults) == 1


def test_lists_of_faults_say_what_to_do(outcome: Outcome) -> None:
    page = page_with(
        outcome,
        DataFaults(
            small_classes={"owl": 1},
            unreadable={"cat/broken.jpg": "The image is damaged or incomplete."},
            empty_classes=("yak",),
            ignored=("notes.txt", "a.tiff"),
            repeated=("owl/1.jpg",),
        ),
    )
    assert page.headings[5:10] == [
        "Classes with few images (1)",
        "Unreadable images (1)",
        "Empty class folders (1)",
        "Ignored files (2)",
        "Repeated lines (1)",
    ]
    assert "owl: 1 training image" in page.text
    assert "Replace or delete them. cat/broken.jpg: The image is damaged or incomplete." in page.text
    assert "Add images, or delete the folders. yak" in page.text
    assert "notes.txt" in page.text


def test_many_faults_are_pictures_lists_and_a_number(outcome: Outcome) -> None:
    pair = Duplicate("train-0.png", "train", "validation-0.png", "validation", 1, True)
    suspect = Suspect("train-0.png", "train", 0, 1, 1.0)
    extra = LISTED + 3
    faults = DataFaults(duplicates=(pair,) * (PAIRS + extra), suspects=(suspect,) * (SUSPECTS + extra))
    page = page_with(outcome, faults)
    assert f"Near-duplicates ({PAIRS + extra})" in page.headings
    assert page.text.count("and 3 more") == 2
    assert page.text.count("train-0.png (train) and validation-0.png (validation)") == LISTED
    assert page.text.count("train-0.png (train): cat → dog") == LISTED
    assert pictures_of_faults(outcome, faults) == 2 * PAIRS + SUSPECTS


def test_planted_faults_are_found_and_shown(tmp_path: Path) -> None:
    """A photograph of one class lies in another class's folder, and a smaller copy of another in both divisions."""
    outcome = an_outcome(tmp_path)
    random = np.random.default_rng(0)
    paths, classes, features = [], [], []
    for index, photograph in enumerate((skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket())):
        for number in range(20):
            top, left = random.integers(0, 170), random.integers(0, 300)
            paths.append(f"{CLASSES[index]}-{number}.png")
            classes.append(index)
            features.append(10 * np.eye(3)[index] + random.normal(size=3))
            Image.fromarray(photograph[top : top + 130, left : left + 150]).save(tmp_path / paths[-1])
    held_out = list(range(3, 60, 5))
    classes[17] = 2  # a cat that the data calls an owl
    with Image.open(tmp_path / paths[31]) as original:
        original.resize((100, 87)).save(tmp_path / paths[held_out[6]])  # a dog in both divisions
    labels = np.array(classes, np.int32)
    splits: dict[Split, list[int]] = {
        "train": [place for place in range(60) if place not in held_out],
        "validation": held_out,
    }
    train, validation = (
        LabelledImages(tmp_path, [paths[place] for place in places], labels[places]) for places in splits.values()
    )
    data = Dataset("pets/", CLASSES, train, validation)
    found = find_faults(
        data, {split: np.array([features[place] for place in places], np.float32) for split, places in splits.items()}
    )
    answers = answers_of(validation.classes, validation.classes, classes=CLASSES, root=tmp_path, paths=validation.paths)
    page = Page(report(replace(outcome, data=data, validation=answers, faults=found)))
    assert "Near-duplicates (1)" in page.headings
    assert f"dog train {paths[31]} dog validation {paths[33]}" in page.text
    assert "Possible label errors (1)" in page.headings
    assert f"owl → cat? 100 % of neighbours train {paths[17]}" in page.text
