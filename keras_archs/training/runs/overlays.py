"""Class activation maps of a published version, drawn over photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.overlay import overlay
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.loading import load_explainer
from keras_archs.runtimes.runtime import Session
from keras_archs.training.runs.outcome import Overlay


def load_overlay(session: Session, version_dir: Path, card: ArtifactCard) -> Overlay | None:
    """Compile the class activation maps of a published version.

    Args:
        session: The version, loaded.
        version_dir: Folder of the version.
        card: Card of the version.

    Returns:
        A function from pixels uint8 [H, W, C] of the network's input and the index of a class to the picture in grey
        with the evidence for the class in colour, uint8 [H, W, 3]; None if the network has no such maps, because its
        classifier does not stand on global average pooling.

    Raises:
        ArtifactError: The maps do not belong to the probabilities of the exported model.
        Exception: The runtime cannot read the graph; the runtimes share no class of errors.
    """
    if not card.explains:
        return None
    explain = load_explainer(session, version_dir, card)

    def draw(pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        maps = explain(pixels[np.newaxis], np.array([index], np.int64)).maps
        colour = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        return np.asarray(overlay(colour, maps[0]))

    return draw
