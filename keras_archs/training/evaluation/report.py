"""An evaluation as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.evaluation.answers import Answers, ClassResult
from keras_archs.training.evaluation.confusion_table import confusion_table
from keras_archs.training.evaluation.summary import Evaluation, Measure
from keras_archs.training.pages.frame import Section, page
from keras_archs.training.pages.lists import listed
from keras_archs.training.pages.measures import measure
from keras_archs.training.pages.pictures import picture, read_pictures
from keras_archs.training.pages.tables import share_cell, table
from keras_archs.training.pages.text import name, percent, text

WORST: Final = 24
"""Pictures of mistakes on the page."""


def html_report(evaluation: Evaluation, preprocessing: Preprocessing) -> str:
    """Return the page: accuracy, the worst mistakes with pictures, confusions, all classes, and unreadable files.

    Args:
        evaluation: The evaluation.
        preprocessing: Preprocessing of the network; pictures show what the network saw.
    """
    measures = "".join(map(_measure, evaluation.measures))
    return page(
        f"Accuracy of {evaluation.subject}",
        _sections(evaluation, preprocessing),
        header=f'<p class="faint">{text(evaluation.subject.weights)}<br>\n{_images(evaluation)}</p>',
        summary=f'<div class="measures">\n{measures}\n</div>\n{_published(evaluation)}',
    )


def _sections(evaluation: Evaluation, preprocessing: Preprocessing) -> Iterator[Section]:
    answers, named = evaluation.answers, evaluation.named
    yield Section("Worst mistakes", _mistakes(answers, preprocessing))
    yield Section("Confusions", confusion_table(answers))
    yield Section("Classes", _classes(answers))
    unreadable = [f"{answers.images.paths[position]}: {reason}" for position, reason in answers.unreadable.items()]
    yield Section("Images that could not be read", listed("They count neither as right nor as wrong.", unreadable))
    yield Section("Class folders without an image", listed("", named.empty))
    yield Section(
        "Files that are no images of a class",
        listed("In no class folder, or without a suffix of an image.", named.ignored),
    )


def _images(evaluation: Evaluation) -> str:
    answers = evaluation.answers
    return (
        f"{answers.top1.total:,} images of {len(answers.classes):,} of {len(answers.labels):,} classes in "
        f'<span class="path">{name(evaluation.source)}</span>'
    )


def _measure(measured: Measure) -> str:
    share, published = measured.measured, measured.published
    return measure(
        measured.name,
        share.value,
        share.interval,
        f"{share.count:,} of {share.total:,}",
        mark=None if published is None else published / 100,
        note="" if published is None else f"published: {published:.4g}&nbsp;%, {measured.place} the interval",
    )


def _published(evaluation: Evaluation) -> str:
    published = evaluation.subject.published
    if published is None:
        return ""
    other = "" if evaluation.shows_all_classes else " The images here do not show all classes, so the two may differ."
    return f'<p class="faint">Published accuracy: {text(published.source)}.{other}</p>'


def _mistakes(answers: Answers, preprocessing: Preprocessing) -> str:
    worst = answers.worst(WORST)
    if not worst:
        return ""
    pictures = read_pictures(
        [answers.images.root / answers.images.paths[position] for position in worst], preprocessing
    )
    items = "".join(_mistake(answers, position, pixels) for position, pixels in zip(worst, pictures, strict=True))
    return f"""<p>The {len(worst)} wrong answers of the highest probability, as the network saw the images.</p>
<ul class="pictures">
{items}</ul>
"""


def _mistake(answers: Answers, position: int, pixels: NDArray[np.uint8] | None) -> str:
    labels, images = answers.labels, answers.images
    predicted, right = int(answers.predicted[position]), int(images.classes[position])
    return f"""<li>
{picture(pixels)}
<p><strong>{_label(labels, predicted)}</strong> {percent(answers.probability[position])}<br>
not {_label(labels, right)} {percent(answers.probability_of_right[position])}<br>
<span class="path faint">{name(images.paths[position])}</span></p>
</li>
"""


def _classes(answers: Answers) -> str:
    measures = ["top-1", "top-5"] if answers.has_top5 else ["top-1"]
    headings = ["class", *measures, "images", "most often mistaken for", "index"]
    rows = (_class(result, answers) for result in sorted(answers.classes, key=lambda each: each.top1.value))
    return table(headings, rows, text=("class", "most often mistaken for"), sorted_by="top-1")


def _class(result: ClassResult, answers: Answers) -> str:
    labels = answers.labels
    shares = [result.top1, *([result.top5] if answers.has_top5 else [])]
    mistaken = "" if result.mistaken_for is None else f"{_label(labels, result.mistaken_for)} ({result.mistakes:,})"
    wordnet_id = labels[result.index].wordnet_id
    label = _label(labels, result.index) + (f' <small class="faint">{text(wordnet_id)}</small>' if wordnet_id else "")
    return (
        f'<tr><th scope="row" class="text">{label}</th>{"".join(share_cell(share.value) for share in shares)}'
        f'<td data-value="{result.top1.total}">{result.top1.total:,}</td>'
        f'<td class="text">{mistaken}</td><td>{result.index}</td></tr>\n'
    )


def _label(labels: Sequence[Label], index: int) -> str:
    return name(labels[index].name)
