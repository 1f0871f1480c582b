"""Reference answers: a few images and the probabilities that the exported Keras model gave for them.

A version carries them, so that whoever converts or loads its graph can show that the graph still answers like the
model, without Keras. The images are drawn: they need no file, compress to some ten kilobytes, and networks with trained
weights answer them with probabilities that stand out, so that a graph that computes something else is noticed.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard

TOLERANCE: Final = 0.05
"""Largest difference that float32 arithmetic explains, as a share of the largest probability of the image.

A share, because a trained network that is undecided gives no class more than .01: an absolute tolerance would let noise
pass. Measured between Keras and OpenVINO: at most 6e-6 by EfficientNet-Lite0 to Lite2 with ImageNet's weights, and 6e-4
by untrained networks; in networks quantized to int8, where a difference in the last place may move an activation to the
next of 255 steps, .006. The noise of a wrong conversion of Lite0 differs by .88 to 1.00.
"""

_BLOCKS: Final = 8
_RINGS: Final = 12
_BALL: Final = (255, 140, 25)
_BEHIND_BALL: Final = (230, 230, 225)


@dataclass(frozen=True)
class ReferenceAnswers:
    """Images and the answers of the Keras model that was exported.

    Attributes:
        images: Pixels as the graph takes them, uint8 [N, H, W, C], N >= 1.
        probabilities: What the Keras model answered, float32 [N, classes]; finite.
    """

    images: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


def reference_images(preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the images that an export asks the model about, uint8 [N, H, W, C]; the same at each call."""
    height, width = preprocessing.size
    channels = preprocessing.channels
    rows, columns = (np.arange(side)[:, np.newaxis] / side for side in (height, width))
    columns = columns.T
    # rings, which ImageNet's networks take for a maze or a coil
    distance = np.hypot(rows - 0.5, columns - 0.5)
    rings = np.where((distance * 2 * _RINGS).astype(int) % 2, 255, 0)[..., np.newaxis].repeat(channels, axis=2)
    # a ball in light from above, in ten shades
    shade = np.clip(1 - 1.6 * np.hypot(rows - 0.4, columns - 0.4), 0, 1).round(decimals=1)[..., np.newaxis]
    ball = np.where(distance[..., np.newaxis] < 0.35, shade * _BALL[:channels], _BEHIND_BALL[:channels])
    # blocks of random colours, which hardly resemble anything
    colours = np.random.default_rng(0).integers(0, 256, (_BLOCKS, _BLOCKS, channels))
    blocks = colours[(rows[:, 0] * _BLOCKS).astype(int)][:, (columns[0] * _BLOCKS).astype(int)]
    return np.stack([rings, ball, blocks]).astype(np.uint8)


def write(version_dir: Path, answers: ReferenceAnswers, file: Path = artifact.REFERENCE_ANSWERS) -> None:
    """Write the reference answers of a version that is being published."""
    np.savez_compressed(version_dir / file, images=answers.images, probabilities=answers.probabilities)


def read(version_dir: Path, card: ArtifactCard, file: Path = artifact.REFERENCE_ANSWERS) -> ReferenceAnswers | None:
    """Read the reference answers of a version.

    Args:
        version_dir: Folder of the version.
        card: Card of the version; its checksums say whether the version has reference answers.
        file: Path of the answers in the version: those of the exported model, or `artifact.INT8_ANSWERS`.

    Returns:
        The answers; None for a version that was exported before exports had reference answers.

    Raises:
        ArtifactError: The file is missing or damaged, or does not fit the card.
    """
    if file.as_posix() not in card.checksums:
        return None
    try:
        content = io.BytesIO((version_dir / file).read_bytes())
        with np.load(content, allow_pickle=False) as arrays:
            images, probabilities = arrays["images"], arrays["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"{file} of version {version_dir.name} of {card.name!r} cannot be read") from error
    shape = (*card.preprocessing.size, card.preprocessing.channels)
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        raise ArtifactError(
            f"the reference images of {card.name!r} must be uint8 images of shape {shape}, the input of the card; "
            f"got {images.dtype} {images.shape}"
        )
    expected = (len(images), len(card.labels))
    if probabilities.dtype != np.float32 or probabilities.shape != expected or not np.isfinite(probabilities).all():
        raise ArtifactError(
            f"the reference answers of {card.name!r} must be finite float32 numbers of shape {expected}, images and "
            f"labels of the card; got {probabilities.dtype} {probabilities.shape}"
        )
    return ReferenceAnswers(images, probabilities)


def check(answers: ReferenceAnswers, received: NDArray[np.float32], tolerance: float = TOLERANCE) -> None:
    """Compare what a graph answered for the reference images with what the Keras model answered.

    Args:
        answers: The reference answers of the version.
        received: Probabilities that the graph gave for `answers.images`, [N, classes].
        tolerance: Largest difference that is allowed, as a share of the largest probability of the image.

    Raises:
        ArtifactError: The answers differ by more, or have another shape; the message says by how much.
    """
    expected = answers.probabilities
    if received.shape != expected.shape:
        raise ArtifactError(
            f"the graph answers with the shape {received.shape}, the exported model with {expected.shape}"
        )
    differences = np.abs(received.astype(np.float64) - expected)
    allowed = tolerance * expected.max(axis=1, keepdims=True)
    if not (differences <= allowed).all():  # not a number is no small difference
        image, index = np.unravel_index(np.argmax(np.nan_to_num(differences - allowed, nan=np.inf)), expected.shape)
        raise ArtifactError(
            f"the graph does not answer like the exported model: for reference image {image} and class {index} the "
            f"probability is {received[image, index]:.4g} instead of {expected[image, index]:.4g}; "
            f"the difference may be at most {allowed[image, 0]:.2g}"
        )
