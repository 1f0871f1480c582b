"""Reference answers of an export: what the model answers, and whether the written graph answers the same."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from keras_archs.export.answer import Answer
from keras_archs.export.written_graph import probabilities_by_signature
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.reference_answers import ReferenceAnswers, check, reference_images

_SUM_TOLERANCE = 0.01
"""Largest difference of a sum of probabilities from 1; a softmax over 1000 classes in bfloat16 sums up to 1.004."""


def answers_of(model: keras.Model, answer: Answer, preprocessing: Preprocessing) -> ReferenceAnswers:
    """Ask a model about the reference images, one at a time.

    Args:
        model: A classifier with one image input [N, H, W, C].
        answer: What the model's output means.
        preprocessing: Size, channels and normalisation of the input.

    Raises:
        ValueError: The model's answers are no probabilities.
    """
    images = reference_images(preprocessing)
    with keras.device("cpu"):  # a GPU may compute with shorter mantissas
        inputs = [keras.ops.convert_to_tensor(preprocessing.normalize(image[np.newaxis])) for image in images]
        answers = [answer.probabilities(model(image, training=False)) for image in inputs]
        probabilities = np.concatenate([keras.ops.convert_to_numpy(each) for each in answers])
    _check_probabilities(probabilities, multi_label=answer.multi_label)
    return ReferenceAnswers(images, probabilities)


def check_graph(saved_model: Path, answers: ReferenceAnswers) -> None:
    """Compare the answers of a graph that was written with the model's.

    The graph gets all images in one batch: an image must be answered alike whatever a server batches it with.

    Args:
        saved_model: Folder of the SavedModel.
        answers: What the model answered.

    Raises:
        ValueError: The answers differ; the message says by how much.
    """
    for received in probabilities_by_signature(saved_model, answers.images).values():
        check(answers, received)


def _check_probabilities(probabilities: NDArray[np.float32], *, multi_label: bool) -> None:
    if not np.isfinite(probabilities).all():
        raise ValueError("the model answers reference images with numbers that are not finite: its weights are damaged")
    least, greatest = probabilities.min(), probabilities.max()
    if least < 0 or greatest > 1:
        raise ValueError(f"probabilities are from 0 to 1; the model's output is from {least:.4g} to {greatest:.4g}")
    sums = probabilities.sum(axis=1)
    if not multi_label and np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise ValueError(
            f"the probabilities of an image add up to 1; those of the model add up to {sums.min():.4g} to "
            f"{sums.max():.4g}. If each class has a probability of its own, end the model in a sigmoid"
        )
