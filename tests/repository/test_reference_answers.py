"""Reference answers travel with a version, fit its card, and tell a graph that answers otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import checksums
from keras_archs.repository.reference_answers import ReferenceAnswers, check, read, reference_images, write
from tests.support.fake_runtime import publish

CLASSES = 20


def answers(confidence: float = 0.6) -> ReferenceAnswers:
    """Answers for images of 8x8 pixels; the likeliest class of image N is N."""
    images = reference_images(Preprocessing(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)))
    probabilities = np.full((len(images), CLASSES), (1 - confidence) / (CLASSES - 1), np.float32)
    np.fill_diagonal(probabilities, confidence)
    return ReferenceAnswers(images, probabilities)


def with_answers(repository: Path, given: ReferenceAnswers) -> tuple[Path, ArtifactCard]:
    version_dir = publish(repository, "net", 1)
    write(version_dir, given)
    return version_dir, replace(artifact.read_card(version_dir), checksums=checksums(version_dir))


@pytest.mark.parametrize(("size", "channels"), [((224, 224), 3), ((8, 12), 1), ((1, 1), 3), ((600, 20), 3)])
def test_the_images_differ_compress_and_are_always_the_same(
    tmp_path: Path, size: tuple[int, int], channels: int
) -> None:
    preprocessing = Preprocessing(size=size, mean=(0,) * channels, std=(1,) * channels)
    images = reference_images(preprocessing)
    assert images.dtype == np.uint8
    assert images.shape[1:] == (*size, channels)
    np.testing.assert_array_equal(images, reference_images(preprocessing))
    if min(size) >= 8:
        assert all(image.std() > 20 for image in images)
    np.savez_compressed(tmp_path / "images.npz", images=images)
    assert (tmp_path / "images.npz").stat().st_size < 1000 + images.size / 10


def test_what_was_written_is_read(tmp_path: Path) -> None:
    version_dir, card = with_answers(tmp_path, answers())
    found = read(version_dir, card)
    assert found is not None
    np.testing.assert_array_equal(found.images, answers().images)
    np.testing.assert_array_equal(found.probabilities, answers().probabilities)


def test_a_version_of_an_older_export_has_no_answers(tmp_path: Path) -> None:
    version_dir = publish(tmp_path, "net", 1)
    assert read(version_dir, artifact.read_card(version_dir)) is None
    write(version_dir, answers())  # a file that is not on the card is not part of the version
    assert read(version_dir, artifact.read_card(version_dir)) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100, None])
def test_a_damaged_or_missing_file_is_an_error_of_the_version(tmp_path: Path, content: bytes | None) -> None:
    version_dir, card = with_answers(tmp_path, answers())
    file = version_dir / artifact.REFERENCE_ANSWERS
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"reference_answers.npz of version 1 of 'net' cannot be read"):
        read(version_dir, card)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(answers(), images=answers().images[:, :4]), r"shape \(8, 8, 3\), the input of the card"),
        (replace(answers(), images=answers().images.astype(np.float32)), "must be uint8"),
        (replace(answers(), images=answers().images[:0]), "must be uint8"),
        (replace(answers(), probabilities=answers().probabilities[:, :3]), r"shape \(3, 20\)"),
        (replace(answers(), probabilities=answers().probabilities * np.float32(np.nan)), "finite"),
        (replace(answers(), probabilities=answers().probabilities[:1]), r"shape \(3, 20\)"),
    ],
)
def test_answers_that_do_not_fit_the_card_are_refused(tmp_path: Path, wrong: ReferenceAnswers, message: str) -> None:
    version_dir, card = with_answers(tmp_path, wrong)
    with pytest.raises(ArtifactError, match=message):
        read(version_dir, card)


def test_a_file_of_python_objects_is_not_loaded(tmp_path: Path) -> None:
    version_dir, card = with_answers(tmp_path, answers())
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(version_dir / artifact.REFERENCE_ANSWERS, images=objects, probabilities=objects)
    with pytest.raises(ArtifactError, match="cannot be read"):
        read(version_dir, card)


@pytest.mark.parametrize("confidence", [0.9, 0.06])
def test_rounding_is_tolerated_and_another_answer_is_not(confidence: float) -> None:
    expected = answers(confidence)
    check(expected, expected.probabilities)
    check(expected, expected.probabilities * np.float32(1 + 1e-5))
    wrong = {
        "of another image": expected.probabilities[::-1],
        "flat": np.full_like(expected.probabilities, 1 / CLASSES),
        "no number": expected.probabilities * np.float32(np.nan),
        "zero": np.zeros_like(expected.probabilities),
    }
    for received in wrong.values():
        with pytest.raises(ArtifactError, match=r"probability is \S+ instead of \S+; the difference may be at most"):
            check(expected, received)


def test_the_tolerance_is_a_share_of_the_likeliest_class() -> None:
    expected = answers(0.5)
    received = expected.probabilities.copy()
    received[1, 4] += 0.1
    check(expected, received, tolerance=0.21)
    with pytest.raises(ArtifactError, match="image 1 and class 4"):
        check(expected, received, tolerance=0.19)


@pytest.mark.parametrize("shape", [(3, 19), (2, 20), (3,), (3, 20, 1)])
def test_another_number_of_classes_or_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArtifactError, match="shape"):
        check(answers(), np.zeros(shape, np.float32))
