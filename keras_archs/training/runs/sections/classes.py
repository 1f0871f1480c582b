"""Precision, recall and F1 of each class."""

from __future__ import annotations

import numpy as np

from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.class_scores import ClassScores, class_scores
from keras_archs.training.evaluation.proportion import Proportion
from keras_archs.training.pages.tables import share_cell, table
from keras_archs.training.pages.text import name
from keras_archs.training.runs.outcome import LONGEST_NAME, Outcome

_HEADINGS = ("class", "F1", "recall", "precision", "images", "training images", "most often mistaken for")


def classes(outcome: Outcome) -> str:
    """Return a table with a row per class, the worst first."""
    answers = outcome.measured
    training = np.bincount(outcome.data.train.classes, minlength=len(answers.labels)).tolist()
    mistaken = {result.index: result.mistaken_for for result in answers.classes}
    rows = (
        _row(
            scores,
            answers,
            training[scores.index],
            mistaken.get(scores.index),
            is_small=outcome.data.classes[scores.index] in outcome.faults.small_classes,
        )
        for scores in sorted(class_scores(answers), key=_goodness)
    )
    return f"""<p>Recall is the share of a class's images that are recognised, with its 95 % interval. Precision is the
share of right answers among the images that are taken for the class. F1 is the harmonic mean of both.</p>
{table(_HEADINGS, rows, text=("class", "most often mistaken for"), sorted_by="F1")}"""


def _goodness(scores: ClassScores) -> tuple[float, float]:
    return scores.f1, 0.0 if scores.recall is None else scores.recall.value


def _row(scores: ClassScores, answers: Answers, training: int, mistaken_for: int | None, *, is_small: bool) -> str:
    label = answers.labels[scores.index].name
    few = ' <span class="badge">few images</span>' if is_small else ""
    mistaken = "" if mistaken_for is None else name(answers.labels[mistaken_for].name, LONGEST_NAME)
    return (
        f'<tr><th scope="row" class="text">{name(label)}{few}</th>{share_cell(scores.f1)}'
        f"{_cell(scores.recall, with_interval=True)}{_cell(scores.precision)}"
        f'<td data-value="{scores.images}">{scores.images:,}</td><td data-value="{training}">{training:,}</td>'
        f'<td class="text">{mistaken}</td></tr>\n'
    )


def _cell(share: Proportion | None, *, with_interval: bool = False) -> str:
    if share is None:
        return '<td class="faint" data-value="-1">none</td>'
    low, high = share.interval
    interval = f'<small class="faint">{100 * low:.0f} to {100 * high:.0f}&nbsp;%</small>' if with_interval else ""
    return share_cell(share.value, interval)
