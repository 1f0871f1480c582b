"""Confusion matrix, precision, recall and F1 are those of scikit-learn, and of the answered images alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as reference_matrix
from sklearn.metrics import precision_recall_fscore_support

from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.class_scores import class_scores
from keras_archs.training.evaluation.confusion_matrix import confusion_matrix
from tests.support.answers import answers_of

CLASSES = 6


@pytest.fixture
def answers() -> Answers:
    """Answers to images of classes 0 to 4: class 5 has no image, class 4 is never an answer, two images fail."""
    random = np.random.default_rng(0)
    right = random.integers(0, 5, 300)
    predicted = np.where(random.uniform(size=300) < 0.7, right, random.integers(0, CLASSES, 300))
    predicted[predicted == 4] = 5
    return answers_of(right, predicted, classes=CLASSES, unreadable=(7, 11))


def test_scores_are_those_of_scikit_learn(answers: Answers) -> None:
    answered = answers.rank >= 0
    right, predicted = answers.images.classes[answered], answers.predicted[answered]
    precision, recall, f1, support = precision_recall_fscore_support(
        right, predicted, labels=range(CLASSES), zero_division=0.0
    )
    scores = class_scores(answers)
    assert [each.index for each in scores] == list(range(CLASSES))
    for each in scores:
        assert (each.precision.value if each.precision else 0) == pytest.approx(precision[each.index])
        assert (each.recall.value if each.recall else 0) == pytest.approx(recall[each.index])
        assert each.f1 == pytest.approx(f1[each.index])
        assert each.images == support[each.index]


def test_a_share_of_no_image_is_none(answers: Answers) -> None:
    scores = class_scores(answers)
    assert scores[4].precision is None
    assert scores[5].recall is None
    assert scores[4].f1 == scores[5].f1 == 0


def test_the_matrix_is_that_of_scikit_learn(answers: Answers) -> None:
    answered = answers.rank >= 0
    expected = reference_matrix(answers.images.classes[answered], answers.predicted[answered], labels=range(CLASSES))
    np.testing.assert_array_equal(confusion_matrix(answers), expected)
    assert expected.sum() == 298
