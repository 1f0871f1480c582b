"""Validation images are drawn by path and seed, of each class its share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from keras_archs.training.data.splits import draw


def drawn(counts: list[int], share: float = 0.2, seed: int = 0) -> set[str]:
    """Return the drawn paths of as many images of each class."""
    paths, classes = images(counts)
    mask = draw(paths, classes, share, among=np.arange(len(counts), dtype=np.int32), seed=seed)
    return {path for path, is_drawn in zip(paths, mask.tolist(), strict=True) if is_drawn}


def images(counts: list[int]) -> tuple[list[str], NDArray[np.int32]]:
    paths = [f"{index}/{number}.jpg" for index, count in enumerate(counts) for number in range(count)]
    return paths, np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def of_class(paths: set[str], index: int) -> set[str]:
    return {path for path in paths if path.startswith(f"{index}/")}


@given(st.lists(st.integers(2, 60), min_size=1, max_size=5), st.floats(0.01, 0.99), st.integers())
def test_each_class_gives_its_share_and_keeps_an_image(counts: list[int], share: float, seed: int) -> None:
    paths = drawn(counts, share, seed)
    for index, count in enumerate(counts):
        number = len(of_class(paths, index))
        assert 1 <= number <= count - 1
        assert abs(number - share * count) <= 1


@given(st.lists(st.integers(2, 60), min_size=1, max_size=5), st.integers(2, 60))
def test_a_class_that_is_added_changes_no_other_class(counts: list[int], more: int) -> None:
    assert drawn(counts) == {path for path in drawn([*counts, more]) if not path.startswith(f"{len(counts)}/")}


@given(st.integers(2, 200), st.floats(0.01, 0.99))
def test_an_image_that_is_added_moves_at_most_one_other(count: int, share: float) -> None:
    before, after = drawn([count], share), drawn([count + 1], share)
    others = {f"0/{number}.jpg" for number in range(count)}
    assert len(before ^ (after & others)) <= 1


def test_the_order_of_the_images_does_not_matter() -> None:
    paths, classes = images([20, 30])
    both = np.array([0, 1], np.int32)
    there = draw(paths, classes, 0.3, among=both, seed=1)
    back = draw(paths[::-1], classes[::-1], 0.3, among=both, seed=1)
    assert (there == back[::-1]).all()


def test_another_seed_draws_other_images() -> None:
    assert drawn([100], seed=1) != drawn([100], seed=2)


def test_only_the_given_classes_are_drawn_from() -> None:
    paths, classes = images([1, 10, 10])
    mask = draw(paths, classes, 0.2, among=np.array([1], np.int32), seed=0)
    assert np.bincount(classes[mask], minlength=3).tolist() == [0, 2, 0]


def test_names_of_files_need_not_be_text() -> None:
    paths = [f"a/\udcff{number}.jpg" for number in range(4)]
    assert draw(paths, np.zeros(4, np.int32), 0.5, among=np.array([0], np.int32), seed=0).sum() == 2
