"""The worst errors and the least certain answers as pictures, with what the network looked at."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.pages.pictures import picture, read_pictures
from keras_archs.training.pages.text import counted, name, percent
from keras_archs.training.runs.outcome import LONGEST_NAME, Outcome

WORST: Final = 20
"""Pictures of the worst errors."""
LEAST_CERTAIN: Final = 10
"""Pictures of the least certain answers."""


def worst_errors(outcome: Outcome) -> str:
    """Return pictures of the wrong answers of the highest probability."""
    worst = outcome.measured.worst(WORST)
    wrong = sum(confusion.images for confusion in outcome.measured.confusions)
    which = f"The {len(worst)} of {wrong:,} wrong answers" if wrong > len(worst) else counted(wrong, "wrong answer")
    return _pictures(
        outcome,
        worst,
        f"{which}, the surest first. Is the picture labelled rightly? Is something else in it, or in its background, "
        "that another class has? More images like it help.",
        "worst",
    )


def least_certain(outcome: Outcome) -> str:
    """Return pictures of the answers of the lowest probability, right and wrong."""
    return _pictures(
        outcome,
        outcome.measured.least_certain(LEAST_CERTAIN),
        "The answers of the lowest probability, right or wrong: images at the border of two classes, or of neither. "
        "A service that asks a person below a certain probability would ask about these.",
        "uncertain",
    )


def _pictures(outcome: Outcome, positions: list[int], introduction: str, identifier: str) -> str:
    if not positions:
        return ""
    images = outcome.measured.images
    pixels = read_pictures([images.root / images.paths[position] for position in positions], outcome.preprocessing)
    items = "".join(_item(outcome, position, each) for position, each in zip(positions, pixels, strict=True))
    choice = (
        ""
        if outcome.overlay is None
        else f'<p class="choice"><input type="checkbox" id="{identifier}"> <label for="{identifier}">Show where the '
        "network saw its answer: the brighter the colour, the stronger the evidence</label></p>\n"
    )
    return f'<p>{introduction}</p>\n<div class="photographs">\n{choice}<ul class="pictures">\n{items}</ul>\n</div>\n'


def _item(outcome: Outcome, position: int, pixels: NDArray[np.uint8] | None) -> str:
    answers = outcome.measured
    predicted, right = int(answers.predicted[position]), int(answers.images.classes[position])
    labels = [name(label.name, LONGEST_NAME) for label in (answers.labels[predicted], answers.labels[right])]
    truth = (
        '<span class="verdict">✓ right</span>'
        if predicted == right
        else f'<span class="verdict wrong">✗ not</span> {labels[1]} {percent(answers.probability_of_right[position])}'
    )
    return f"""<li>
{_seen(outcome, pixels, predicted)}
<p><strong>{labels[0]}</strong> {percent(answers.probability[position])}<br>
{truth}<br>
<span class="path faint">{name(answers.images.paths[position], LONGEST_NAME)}</span></p>
</li>
"""


def _seen(outcome: Outcome, pixels: NDArray[np.uint8] | None, predicted: int) -> str:
    if pixels is None or outcome.overlay is None:
        return picture(pixels)
    return f'<div class="seen">{picture(pixels)}{picture(outcome.overlay(pixels, predicted), kind="evidence")}</div>'
