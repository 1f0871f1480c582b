"""Loss, accuracy and learning rate of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan
from typing import Final

from keras_archs.training.pages.line_chart import Line, line_chart
from keras_archs.training.pages.lists import LISTED
from keras_archs.training.runs.outcome import Outcome
from keras_archs.training.tuning.history import EpochMetrics

_HEADINGS: Final = ("epoch", "loss", "validation loss", "accuracy", "validation accuracy", "learning rate", "time")


def curves(outcome: Outcome) -> str:
    """Return three charts and their numbers; nothing for a training without epochs."""
    history = outcome.history
    if not history:
        return ""
    kept = min(
        (metrics for metrics in history if isfinite(metrics.validation_loss)),
        key=lambda metrics: metrics.validation_loss,
        default=None,
    )
    # epoch 0 is evaluated before the first step, which has a rate
    rates = [each.learning_rate if each.epoch else nan for each in history]
    losses = {"training": [each.loss for each in history], "validation": [each.validation_loss for each in history]}
    accuracies = {
        "training": [each.accuracy for each in history],
        "validation": [each.validation_accuracy for each in history],
    }
    charts = [
        _chart(history, "Loss", losses, _number, limits=(0.0, None), kept=kept),
        _chart(history, "Accuracy", accuracies, _percent, limits=(None, 1.0), kept=kept),
        _chart(history, "Learning rate", {"rate": rates}, _number, limits=(0.0, None)),
    ]
    first = " Epoch 0 is the network before the first step." if history[0].epoch == 0 else ""
    return f"""<p>{_kept(kept)} Training values are means over the epoch, of images that were changed at random;
validation values are of the epoch's end, of images as they are.{first}</p>
<div class="charts">
{"".join(charts)}</div>
{_table(history)}
"""


def _kept(kept: EpochMetrics | None) -> str:
    if kept is None:
        return "The validation loss was never a number: the training diverged. A lower learning rate helps."
    return (
        f"The weights of epoch {kept.epoch} are kept, which has the least validation loss: {kept.validation_loss:.4g}."
    )


def _chart(
    history: Sequence[EpochMetrics],
    title: str,
    values: Mapping[str, Sequence[float]],
    write: Callable[[float], str],
    *,
    limits: tuple[float | None, float | None],
    kept: EpochMetrics | None = None,
) -> str:
    tooltips = [
        f"epoch {metrics.epoch}: "
        + ", ".join(f"{label} {write(each[place])}" for label, each in values.items() if isfinite(each[place]))
        for place, metrics in enumerate(history)
    ]
    chart = line_chart(
        [metrics.epoch for metrics in history],
        [Line(label, label, each) for label, each in values.items()],
        description=f"{title} of each epoch; the numbers are in the table below",
        title="epoch",
        limits=limits,
        text=write,
        tooltips=tooltips,
        mark=(kept.epoch, "kept") if kept else None,
    )
    return f"<figure>\n<figcaption>{title}</figcaption>\n{chart}\n</figure>\n"


def _table(history: Sequence[EpochMetrics]) -> str:
    head = "".join(f'<th scope="col">{heading}</th>' for heading in _HEADINGS)
    rows = "".join(map(_row, history[:LISTED]))
    more = f"<p>and {len(history) - LISTED:,} more, in metrics.csv</p>\n" if len(history) > LISTED else ""
    return f"""<details><summary>All epochs as a table</summary>
<div class="table"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}</tbody>
</table></div>
{more}</details>"""


def _row(metrics: EpochMetrics) -> str:
    cells = [
        _number(metrics.loss),
        _number(metrics.validation_loss),
        _percent(metrics.accuracy),
        _percent(metrics.validation_accuracy),
        _number(metrics.learning_rate),
        f"{metrics.seconds:,.0f}&nbsp;s",
    ]
    return f'<tr><th scope="row">{metrics.epoch}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'


def _number(value: float) -> str:
    return f"{value:.4g}" if isfinite(value) else "none"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}&nbsp;%" if isfinite(share) else "none"
