"""Images with a wrong class are found among the features of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.training import Dataset
from keras_archs.training.data.label_errors import MAX_COMPARED, find_label_errors
from keras_archs.training.data.labelled_images import LabelledImages

Features = NDArray[np.float32]


def dataset(train: NDArray[np.int32], validation: NDArray[np.int32]) -> Dataset:
    def labelled(split: str, classes: NDArray[np.int32]) -> LabelledImages:
        return LabelledImages(Path(), [f"{split}/{number}" for number in range(len(classes))], classes)

    names = tuple(f"class {index}" for index in range(10))
    return Dataset("test", names, labelled("train", train), labelled("validation", validation))


def clusters(classes: NDArray[np.int32], seed: int = 0) -> Features:
    """Return features that lie around a centre per class."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((10, 32), np.float32)
    return np.asarray(2 * centres[classes] + rng.standard_normal((len(classes), 32), np.float32) + 5)


def cycle(count: int, classes: int) -> NDArray[np.int32]:
    return np.arange(count, dtype=np.int32) % classes


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_planted_error_is_found_in_each_division_and_its_right_class_suggested(classes: int) -> None:
    right = {"train": cycle(200, classes), "validation": cycle(50, classes)}
    features = {split: clusters(of_split, seed) for seed, (split, of_split) in enumerate(right.items())}
    given = {split: of_split.copy() for split, of_split in right.items()}
    for split, place in (("train", 11), ("train", 12), ("validation", 7)):
        given[split][place] = (given[split][place] + 1) % classes
    suspects = find_label_errors(dataset(**given), features)  # type: ignore[arg-type]
    assert {suspect.path for suspect in suspects} == {"train/11", "train/12", "validation/7"}
    for suspect in suspects:
        place = int(suspect.path.split("/")[1])
        assert (suspect.given, suspect.suggested) == (given[suspect.split][place], right[suspect.split][place])
        assert suspect.share >= 0.7
        assert 0 < suspect.margin <= 2


def test_equal_errors_do_not_hide_each_other() -> None:
    right = cycle(200, 2)
    given = right.copy()
    planted = np.arange(0, 16, 2)
    given[planted] = 1
    suspects = find_label_errors(dataset(given, cycle(2, 2)), {"train": clusters(right)})
    found = {suspect.path for suspect in suspects} & {f"train/{place}" for place in planted}
    assert len(found) >= len(planted) / 2


def test_right_labels_are_not_suspected() -> None:
    classes = cycle(300, 5)
    assert find_label_errors(dataset(classes, cycle(5, 5)), {"train": clusters(classes)}) == ()


def test_the_clearest_errors_come_first() -> None:
    right = cycle(100, 4)
    features = clusters(right)
    features[3] += clusters(np.array([1], np.int32))[0] - 5  # between its own class and the given class
    given = right.copy()
    given[[3, 40]] = 1
    suspects = find_label_errors(dataset(given, cycle(4, 4)), {"train": features})
    assert next(suspect.path for suspect in suspects) == "train/40"
    assert sorted(suspects, key=lambda suspect: -suspect.margin) == list(suspects)


def test_a_dimension_that_is_constant_or_large_does_not_matter() -> None:
    right = cycle(100, 4)
    given = right.copy()
    given[5] = 3
    features = clusters(right)
    wide = np.column_stack([features[:, :-1], 1e6 * features[:, -1:], np.full((100, 1), 7)]).astype(np.float32)
    assert [suspect.path for suspect in find_label_errors(dataset(given, cycle(4, 4)), {"train": wide})] == ["train/5"]


def test_images_that_could_not_be_read_are_neither_suspects_nor_neighbours() -> None:
    right = cycle(100, 4)
    features = clusters(right)
    features[[4, 9]] = 0
    given = right.copy()
    given[4] = 3
    assert find_label_errors(dataset(given, cycle(4, 4)), {"train": features}, ["train/4", "train/9"]) == ()


def test_classes_of_few_images_are_not_judged() -> None:
    classes = np.array([0] * 30 + [1] * 5, np.int32)
    assert find_label_errors(dataset(classes, cycle(2, 2)), {"train": clusters(classes)}) == ()
    classes = np.array([0] * 30 + [1] * 30 + [2] * 5, np.int32)
    strange = clusters(np.where(classes == 2, 0, classes).astype(np.int32))
    assert find_label_errors(dataset(classes, cycle(2, 2)), {"train": strange}) == ()


def test_without_features_there_are_no_suspects() -> None:
    assert find_label_errors(dataset(cycle(20, 2), cycle(2, 2)), {}) == ()


def test_features_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="20 train images have 19 features"):
        find_label_errors(dataset(cycle(20, 2), cycle(2, 2)), {"train": np.zeros((19, 3), np.float32)})


def test_many_images_are_compared_with_some_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_archs.training.data.label_errors.MAX_COMPARED", 40)
    assert MAX_COMPARED > 40
    right = cycle(1000, 4)
    given = right.copy()
    given[[7, 701]] = 0
    suspects = find_label_errors(dataset(given, cycle(4, 4)), {"train": clusters(right)})
    assert {suspect.path for suspect in suspects} == {"train/7", "train/701"}
