"""Load a published version, and prove that it answers like the model that was exported.

A version is refused if its files are not those of the export, if its card does not fit its folder or its graph, or if
its graph, on the runtime that is to serve it, answers otherwise than the exported model did.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository import reference_answers
from keras_archs.repository.artifact import INT8_ANSWERS, LIKELIEST, REFERENCE_ANSWERS, ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import verify
from keras_archs.runtimes.card_fit import check_name
from keras_archs.runtimes.runtime import Embed, Explain, Runtime, Session


def load_version(runtime: Runtime, version_dir: Path, card: ArtifactCard) -> Session:
    """Check the files of a version, load it, and compare its answers with the reference answers of its graph.

    Args:
        runtime: The runtime to load the version with.
        version_dir: Folder of the version.
        card: Card of the version.

    Raises:
        ArtifactError: The version must not be served; the message says why, without a path.
        Exception: The runtime cannot read the graph; the runtimes share no class of errors.
    """
    check_name(card, version_dir)
    verify(version_dir, card)
    session = runtime.load(version_dir, card)
    file = INT8_ANSWERS if session.arithmetic == "int8" else REFERENCE_ANSWERS
    answers = reference_answers.read(version_dir, card, file)
    if answers is not None:
        _check(session, answers, predict(session, answers.images), session.tolerance)
    return session


def load_explainer(session: Session, version_dir: Path, card: ArtifactCard) -> Explain:
    """Compile the signature `explain` of a version, and compare its probabilities with the reference answers.

    Raises:
        ArtifactError: The signature answers otherwise than the exported model.
        Exception: The runtime cannot read the graph; the runtimes share no class of errors.
    """
    explain = session.explainer()
    answers = reference_answers.read(version_dir, card)
    if answers is not None:
        likeliest = np.full(len(answers.images), LIKELIEST, np.int64)
        batches = batches_for(session, len(answers.images))
        received = [explain(answers.images[batch], likeliest[batch]).probabilities for batch in batches]
        _check(session, answers, np.concatenate(received), session.explainer_tolerance)
    return explain


def check_embedder(embed: Embed, session: Session, version_dir: Path, card: ArtifactCard) -> None:
    """Compare the probabilities of an embedder with the reference answers.

    Raises:
        ArtifactError: The embedder answers otherwise than the exported model.
    """
    answers = reference_answers.read(version_dir, card)
    if answers is not None:
        received = [embed(image[np.newaxis]).probabilities for image in answers.images]
        _check(session, answers, np.concatenate(received), session.tolerance)


def predict(session: Session, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the probabilities [N, classes] of any number N >= 1 of uint8 images [N, H, W, C], in batches."""
    return np.concatenate([session.infer(images[batch]) for batch in batches_for(session, len(images))])


def batches_for(session: Session, images: int) -> list[slice]:
    """Divide a number of images into batches that the session accepts."""
    return [slice(start, start + session.max_batch) for start in range(0, images, session.max_batch)]


def _check(
    session: Session, answers: reference_answers.ReferenceAnswers, received: NDArray[np.float32], tolerance: float
) -> None:
    try:
        reference_answers.check(answers, received, tolerance)
    except ArtifactError as error:
        raise ArtifactError(f"{error}; {session.remedy}") from error
