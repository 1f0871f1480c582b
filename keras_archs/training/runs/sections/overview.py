"""What was trained with which images, and how often it is right."""

from __future__ import annotations

from typing import Final

import numpy as np

from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.pages.measures import measure
from keras_archs.training.pages.text import counted, name, percent, text
from keras_archs.training.runs.outcome import Outcome

FEW: Final = 100
"""Measured images below which the page says that they are few."""


def facts(outcome: Outcome) -> str:
    """Return network, method, data and published version as a list of terms."""
    data = outcome.data
    test = "" if data.test is None else f", {len(data.test.paths):,} test"
    rows = {
        "Published": "not published" if outcome.published is None else text(outcome.published),
        "Network": text(outcome.network),
        "Trained": text(outcome.method),
        "Data": f'<span class="path">{name(data.source)}</span>, {counted(len(data.classes), "class", "classes")}',
        "Images": f"{len(data.train.paths):,} training, {len(data.validation.paths):,} validation{test}",
    }
    items = "".join(f"<dt>{term}</dt><dd>{value}</dd>\n" for term, value in rows.items())
    return f'<dl class="facts">\n{items}</dl>'


def overview(outcome: Outcome) -> str:
    """Return the accuracy on validation and test images, and what a reader must know."""
    panels = _accuracy("Accuracy on validation images", outcome.validation)
    if outcome.test is not None:
        panels = _accuracy("Accuracy on test images", outcome.test) + panels
    notes = "".join(f"<li>{note}</li>\n" for note in [*map(text, outcome.notes), *_remarks(outcome)])
    return f"""<div class="overview">
<div class="measures">
{panels}</div>
<ul class="notes">
{notes}</ul>
</div>"""


def _accuracy(title: str, answers: Answers) -> str:
    top1 = answers.top1
    images = f"{top1.count:,} of {counted(top1.total, 'image')}"
    top5 = f"; right class among the five likeliest: {percent(answers.top5.value)}" if answers.has_top5 else ""
    most = max(each.top1.total for each in answers.classes) / top1.total
    return measure(title, top1.value, top1.interval, images, note=f"most frequent class alone: {percent(most)}{top5}")


def _remarks(outcome: Outcome) -> list[str]:
    """Return sentences about the measurement, as HTML."""
    measured = outcome.measured
    remarks = [
        "Accuracy and all that follows are of the published graph, on the "
        f"{'validation' if outcome.test is None else 'test'} images."
    ]
    if outcome.test is None:
        remarks.append(
            "Weights and temperature were chosen on the validation images, so that the accuracy is a little too high; "
            "test images, on which nothing is chosen, would measure it without this advantage."
        )
    drawn = outcome.data.drawn
    if 0 < len(drawn) < len(outcome.data.classes):
        remarks.append(
            f"The validation images of {counted(len(drawn), 'class', 'classes')} were drawn from the training images, "
            "because the data has none."
        )
    if measured.top1.total < FEW:
        low, high = measured.top1.interval
        remarks.append(
            f"{counted(measured.top1.total, 'image')} are few: the true accuracy may lie anywhere from {percent(low)} "
            f"to {percent(high)}."
        )
    absent = len(measured.labels) - len(measured.classes)
    if absent:
        remarks.append(f"{counted(absent, 'class has', 'classes have')} no image that could be measured.")
    if not np.isfinite(measured.probability).all():
        remarks.append("Some probabilities are not numbers: the network overflows.")
    return remarks
