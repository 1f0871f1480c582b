"""The page of a training shows how good the network is, and which images and faults of the data to look at."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.training.runs.outcome import Outcome
from keras_archs.training.runs.report import report
from keras_archs.training.tuning.history import EpochMetrics
from tests.support.answers import answers_of
from tests.support.html_page import Page
from tests.support.outcomes import an_outcome, epochs


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    return an_outcome(tmp_path)


def page_of(outcome: Outcome, **changes: object) -> Page:
    return Page(report(replace(outcome, **changes)))  # type: ignore[arg-type]


def test_the_head_says_what_was_trained_and_published(outcome: Outcome) -> None:
    text = page_of(outcome, published="pets version 3", notes=["It was interrupted."]).text
    assert "Training pets-1 Published pets version 3 Network a network Trained a head" in text
    assert "Data pets/, 3 classes Images 8 training, 6 validation" in text
    assert "It was interrupted." in text
    assert "Published not published" in page_of(outcome).text


def test_accuracy_comes_with_its_interval_and_its_baseline(outcome: Outcome) -> None:
    text = page_of(outcome).text
    assert "Accuracy on validation images 66.7 % 4 of 6 images; 95 % interval 30.0 % to 90.3 %" in text
    assert "most frequent class alone: 33.3 %" in text
    assert "6 images are few: the true accuracy may lie anywhere from 30.0 % to 90.3 %" in text
    assert "were chosen on the validation images, so that the accuracy is a little too high" in text


def test_test_images_are_measured_with_if_there_are_any(outcome: Outcome) -> None:
    test = replace(outcome.validation, images=replace(outcome.validation.images), seconds=1.0)
    data = replace(outcome.data, test=test.images)
    text = page_of(outcome, data=data, test=test).text
    assert "8 training, 6 validation, 6 test" in text
    assert text.index("Accuracy on test images") < text.index("Accuracy on validation images")
    assert "are of the published graph, on the test images" in text
    assert "a little too high" not in text


def test_validation_images_that_were_drawn_for_some_classes_alone_are_mentioned(outcome: Outcome) -> None:
    some, every = (replace(outcome.data, drawn=names) for names in (("owl",), outcome.data.classes))
    assert "The validation images of 1 class were drawn from the training images" in page_of(outcome, data=some).text
    assert "were drawn" not in page_of(outcome, data=every).text


def test_a_training_without_epochs_has_no_curves(outcome: Outcome) -> None:
    assert "Learning curves" not in page_of(outcome).headings


def test_curves_mark_the_epoch_that_is_kept(outcome: Outcome) -> None:
    page = page_of(outcome, history=epochs(6))
    assert page.headings[0] == "Learning curves"
    assert "The weights of epoch 4 are kept, which has the least validation loss: 1." in page.text
    assert page.text.count("kept") == 3  # the sentence, and a mark on loss and accuracy
    assert "epoch 2: training 75 %, validation 50 %" in page.text
    assert "epoch 6: training 0.1667, validation 3" in page.text
    assert ["6", "0.1667", "3", "91.67 %", "50 %", "0.001667", "12 s"] in page.rows


def test_the_network_before_the_first_step_has_no_training_values(outcome: Outcome) -> None:
    head = EpochMetrics(0, 0, 0.0, 0.0, nan, nan, 0.7, 0.8)
    page = page_of(outcome, history=[head, *epochs(3)])
    assert "The weights of epoch 0 are kept" in page.text
    assert "Epoch 0 is the network before the first step." in page.text
    assert "epoch 0: validation 80 %" in page.text
    assert ["0", "none", "0.7", "none", "80 %", "0", "0 s"] in page.rows
    assert "Epoch 0" not in page_of(outcome, history=epochs(3)).text


def test_a_training_that_diverged_says_so(outcome: Outcome) -> None:
    page = page_of(outcome, history=[replace(each, loss=nan, validation_loss=nan) for each in epochs(2)])
    assert "The validation loss was never a number: the training diverged." in page.text
    assert "kept" not in page.text


def test_the_matrix_counts_answers_by_class(outcome: Outcome) -> None:
    page = page_of(outcome)
    start = page.rows.index(["class ↓ answer →", "cat", "dog", "owl", "images"])
    assert page.rows[start + 1 : start + 4] == [
        ["cat", "2", "·", "·", "2"],
        ["dog", "1", "1", "·", "2"],
        ["owl", "1", "·", "1", "2"],
    ]
    assert "No class is taken for the same other class twice." in page.text
    # right and wrong are told apart without colour, too: by the frame, and in words
    assert 'title="dog, answered cat: 1 of 2 (50 %)"' in report(outcome)


def test_the_most_frequent_confusions_are_named(outcome: Outcome) -> None:
    answers = answers_of([1] * 9 + [0] * 5, [2] * 6 + [0] * 3 + [0] * 4 + [2], classes=["cat", "dog", "owl"])
    text = page_of(outcome, validation=answers).text
    assert "Most frequent: dog taken for owl, 6 times; dog taken for cat, 3 times." in text


def test_many_classes_have_a_list_of_confusions_instead_of_a_matrix(outcome: Outcome) -> None:
    answers = answers_of([0, 1, 1, 40], [0, 2, 2, 3], classes=41)
    data = replace(outcome.data, classes=tuple(label.name for label in answers.labels))
    page = page_of(outcome, validation=answers, data=data)
    assert ["class 1", "class 2", "2"] in page.rows
    assert not any(row[0].startswith("class ↓") for row in page.rows)


def test_a_network_that_is_always_right_has_no_errors_to_show(outcome: Outcome) -> None:
    answers = answers_of([0, 1, 2], [0, 1, 2], classes=["cat", "dog", "owl"])
    page = page_of(outcome, validation=answers)
    assert "No answer is wrong." in page.text
    assert "Worst errors" not in page.headings
    assert "Least certain" in page.headings


def test_classes_have_precision_recall_and_f1_the_worst_first(outcome: Outcome) -> None:
    faults = replace(outcome.faults, small_classes={"owl": 2})
    page = page_of(outcome, faults=faults)
    start = next(number for number, row in enumerate(page.rows) if row[:2] == ["class", "F1"])
    assert page.rows[start + 1 : start + 4] == [
        ["dog", "66.7 %", "50.0 %9 to 91 %", "100.0 %", "2", "3", "cat"],
        ["owl few images", "66.7 %", "50.0 %9 to 91 %", "100.0 %", "2", "2", "cat"],
        ["cat", "66.7 %", "100.0 %34 to 100 %", "50.0 %", "2", "3", ""],
    ]


def test_a_class_without_measured_images_has_no_recall(outcome: Outcome) -> None:
    answers = answers_of([0, 0, 1], [0, 2, 1], classes=["cat", "dog", "owl"])
    page = page_of(outcome, validation=answers)
    assert ["owl", "0.0 %", "none", "0.0 %", "0", "2", ""] in page.rows
    assert "1 class has no image that could be measured." in page.text


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [(0.95, "surer than it should be"), (0.5, "more often right than it says"), (0.75, "these agree")],
)
def test_reliability_says_in_words_what_it_shows(outcome: Outcome, probability: float, verdict: str) -> None:
    answers = answers_of([0] * 200, [0] * 150 + [1] * 50, classes=["cat", "dog", "owl"], probability=probability)
    text = page_of(outcome, validation=answers).text
    assert f"On average the network states {100 * probability:.1f} % and is right in 75.0 % of the images" in text
    assert verdict in text
    assert f"Expected calibration error: {100 * abs(probability - 0.75):.1f} %." in text


def test_the_surest_errors_and_the_least_certain_answers_are_pictures(outcome: Outcome) -> None:
    page = page_of(outcome)
    assert len(page.pictures) == 2 + 6
    assert "2 wrong answers, the surest first." in page.text and page.text.index(
        "cat 95.0 % ✗ not dog 2.5 % validation-3.png"
    ) < page.text.index("cat 60.0 % ✗ not owl 20.0 % validation-5.png")
    assert page.text.index("cat 50.0 % ✓ right validation-1.png") < page.text.index(
        "owl 70.0 % ✓ right validation-4.png"
    )


def test_overlays_lie_over_the_pictures_and_a_checkbox_shows_them(outcome: Outcome) -> None:
    asked: list[int] = []

    def overlay(pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        assert pixels.shape == (8, 8, 3)
        asked.append(index)
        return pixels

    text = report(replace(outcome, overlay=overlay))
    assert text.count('class="evidence') == 8
    assert asked == [0, 0, 0, 0, 2, 1, 0, 0]  # the answers, not the right classes
    assert Page(text).tags.count("input") == 2
    assert Page(report(outcome)).tags.count("input") == 0


def test_a_picture_that_has_gone_leaves_an_empty_frame(outcome: Outcome) -> None:
    (outcome.validation.images.root / "validation-3.png").unlink()
    page = page_of(outcome, overlay=lambda pixels, _: pixels)
    assert len(page.pictures) == 2 * (1 + 5)
    assert "validation-3.png" in page.text


def test_settings_are_listed(outcome: Outcome) -> None:
    assert "Settings seed 0" in page_of(outcome).text
    assert "Settings" not in page_of(outcome, settings={}).headings
