"""A version that loses more than is allowed is refused, and the message says how much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.quantization import candidate as candidate_module
from keras_archs.quantization.candidate import Candidate, LossError, make_candidate
from keras_archs.quantization.measure import agreement
from keras_archs.quantization.pictures import divide, read_pictures
from keras_archs.repository import artifact
from keras_archs.repository.quantization import AccuracyChange, Agreement, Calibration, Quantization
from keras_archs.repository.reference_answers import ReferenceAnswers
from keras_archs.runtimes.runtime import Infer
from keras_archs.training.data.image_folder import label_images, read_images
from keras_archs.training.data.labelled_images import LabelledImages
from tests.support.fake_runtime import publish


@pytest.fixture
def version_dir(tmp_path: Path) -> Path:
    return publish(tmp_path, "net", 1)


def candidate(version_dir: Path, top1: float, accuracy: AccuracyChange | None) -> Candidate:
    quantization = Quantization(1, 9, 7, Calibration(300, "abc"), Agreement(500, top1, 0.2, 0.01), accuracy)
    answers = ReferenceAnswers(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 20), np.float32))
    return Candidate(version_dir, version_dir, artifact.read_card(version_dir), quantization, answers)


def test_the_measured_drop_decides_where_labels_were_given(version_dir: Path) -> None:
    lossy = candidate(version_dir, 0.9, AccuracyChange(1000, float32=0.981, int8=0.974))
    lossy.check(0.7)
    with pytest.raises(LossError, match=r"97.40 % of 1,000 .* 98.10 %: a drop of 0.70 points, where 0.5 are allowed"):
        lossy.check(0.5)


def test_without_labels_every_picture_that_is_answered_otherwise_counts_as_lost(version_dir: Path) -> None:
    unknown = candidate(version_dir, 0.99, None)
    unknown.check(1.01)
    with pytest.raises(LossError, match=r"1.00 % of 500 pictures with another class .* 0.5 points are allowed"):
        unknown.check(0.5)


def test_agreement_is_that_of_the_likeliest_classes() -> None:
    expected = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]], np.float32)
    received = np.array([[0.4, 0.6], [0.8, 0.2], [0.2, 0.8]], np.float32)
    found = agreement(expected, received, multi_label=False)
    assert found.pictures == 3
    assert found.top1 == pytest.approx(2 / 3)
    assert found.largest_difference == pytest.approx(0.2)
    assert found.mean_difference == pytest.approx(0.1)


def test_classes_that_do_not_exclude_each_other_agree_if_the_same_are_likely() -> None:
    expected = np.array([[0.6, 0.7], [0.9, 0.1]], np.float32)
    received = np.array([[0.7, 0.6], [0.9, 0.6]], np.float32)
    assert agreement(expected, received, multi_label=True).top1 == 0.5


@pytest.mark.parametrize(("loss", "measured_on"), [(0.009, 200), (0.011, 100)])
def test_pictures_that_control_the_accuracy_do_not_measure_it(
    repository: Path, pictures: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch, loss: float, measured_on: int
) -> None:
    version_dir = repository / "colours" / "1"
    card = artifact.read_card(version_dir)
    read = read_pictures(pictures, card.preprocessing)
    images = label_images(read_images(labelled), card.labels)
    divided = divide(images, read.calibration_digests, card.preprocessing, max_drop=1)

    def accuracy(float32: Infer, int8: Infer, images: LabelledImages, preprocessing: Preprocessing) -> AccuracyChange:
        return AccuracyChange(len(images.paths), 0.9, 0.9 - loss)

    monkeypatch.setattr(candidate_module, "accuracy", accuracy)
    with make_candidate(version_dir, card, read, divided, max_drop=1) as made:
        assert made.quantization.accuracy
        assert made.quantization.accuracy.pictures == measured_on
