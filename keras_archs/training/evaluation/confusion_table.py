"""The most frequent wrong answers as a table of a page."""

from __future__ import annotations

from typing import Final

from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.pages.tables import table
from keras_archs.training.pages.text import name

CONFUSIONS: Final = 50
"""Rows of the table."""


def confusion_table(answers: Answers, longest: int | None = None) -> str:
    """Return the most frequent wrong answers by class, at most `CONFUSIONS` of them; nothing if no answer is wrong.

    Args:
        answers: Answers of a network.
        longest: Number of characters above which names are shortened; None for no limit.
    """
    if not answers.confusions:
        return ""
    labels = answers.labels
    rows = (
        f'<tr><th scope="row" class="text">{name(labels[confusion.right].name, longest)}</th>'
        f'<td class="text">{name(labels[confusion.predicted].name, longest)}</td><td>{confusion.images:,}</td></tr>\n'
        for confusion in answers.confusions[:CONFUSIONS]
    )
    more = len(answers.confusions) - CONFUSIONS
    note = f"<p>The {CONFUSIONS} most frequent of {len(answers.confusions):,}.</p>" if more > 0 else ""
    return note + table(["class", "answer", "images"], rows, text=("class", "answer"))
