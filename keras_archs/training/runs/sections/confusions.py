"""Which classes are taken for which."""

from __future__ import annotations

from typing import Final

from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.confusion_matrix import confusion_matrix
from keras_archs.training.evaluation.confusion_table import confusion_table
from keras_archs.training.pages.text import name, text
from keras_archs.training.runs.outcome import LONGEST_NAME, Outcome

MATRIX: Final = 30
"""Classes up to which all answers are shown as a matrix."""

_NAMED: Final = 3
_MANY: Final = 15  # classes above which the cells are narrow
_LONGEST_HEADING: Final = 24


def confusions(outcome: Outcome) -> str:
    """Return the confusion matrix of a few classes, or the most frequent confusions of many."""
    answers = outcome.measured
    frequent = f"<p>{_most_frequent(answers)}</p>\n"
    if len(answers.labels) > MATRIX:
        return frequent + confusion_table(answers, LONGEST_NAME)
    return f"""{frequent}<p class="faint">A row per class, a column per answer, in images. Right answers are framed, on
the diagonal; the shade of a cell is its share of the row.</p>
{_matrix(answers)}"""


def _most_frequent(answers: Answers) -> str:
    if not answers.confusions:
        return "No answer is wrong."
    examples = [
        f"{name(answers.labels[right].name, LONGEST_NAME)} taken for "
        f"{name(answers.labels[predicted].name, LONGEST_NAME)}, {images:,} times"
        for right, predicted, images in answers.confusions[:_NAMED]
        if images > 1
    ]
    return f"Most frequent: {'; '.join(examples)}." if examples else "No class is taken for the same other class twice."


def _matrix(answers: Answers) -> str:
    names = [text(label.name, LONGEST_NAME) for label in answers.labels]
    counts = confusion_matrix(answers).tolist()
    headings = [f"<span>{name(label.name, _LONGEST_HEADING)}</span>" for label in answers.labels]
    head = "".join(
        f'<th scope="col" title="{each}">{heading}</th>' for each, heading in zip(names, headings, strict=True)
    )
    kind = "matrix narrow" if len(names) > _MANY else "matrix"
    rows = "".join(_row(index, names, headings[index], row) for index, row in enumerate(counts))
    return f"""<div class="table"><table class="{kind}">
<thead><tr><td class="corner">class ↓ answer →</td>{head}<th scope="col"><span>images</span></th></tr></thead>
<tbody>
{rows}</tbody>
</table></div>
"""


def _row(right: int, names: list[str], heading: str, counts: list[int]) -> str:
    total = sum(counts)
    cells = "".join(_cell(right, predicted, names, count, total) for predicted, count in enumerate(counts))
    return f'<tr><th scope="row" title="{names[right]}">{heading}</th>{cells}<td>{total:,}</td></tr>\n'


def _cell(right: int, predicted: int, names: list[str], count: int, total: int) -> str:
    kind = "right" if right == predicted else "wrong"
    if not count:
        return '<td class="right">0</td>' if right == predicted else "<td>·</td>"
    share = 100 * count / total
    tooltip = f"{names[right]}, answered {names[predicted]}: {count:,} of {total:,} ({share:.0f} %)"
    return f'<td class="{kind}" style="--share: {share:.0f}%" title="{tooltip}">{count:,}</td>'
