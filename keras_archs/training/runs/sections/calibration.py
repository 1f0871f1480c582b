"""Whether the stated probabilities can be taken at their word: the reliability diagram, and what it says."""

from __future__ import annotations

from keras_archs.training.evaluation.reliability import Bin, Reliability, reliability
from keras_archs.training.pages.axes import Axes
from keras_archs.training.pages.text import counted, percent
from keras_archs.training.runs.outcome import Outcome

_WIDTH = 360
_DIAGRAM = Axes((0, 1), (0, 1), _WIDTH, 430, left=56, right=24, bottom=126, top=12)
_SHARES = (0, 0.2, 0.4, 0.6, 0.8, 1)


def calibration(outcome: Outcome) -> str:
    """Return the reliability diagram with the expected calibration error, in words too."""
    measured = reliability(outcome.measured)
    return f"""<div class="beside">
<figure>
{_diagram(measured)}
</figure>
<div>
{_words(measured)}
</div>
</div>
"""


def _words(measured: Reliability) -> str:
    low, high = measured.right.interval
    probability, right = percent(measured.probability), percent(measured.right.value)
    comparison = f"On average the network states {probability} and is right in {right} of the images"
    if measured.probability > high:
        verdict = f"{comparison}: it is surer than it should be."
    elif measured.probability < low:
        verdict = f"{comparison}: it is more often right than it says."
    else:
        verdict = f"{comparison}: within the uncertainty of {counted(measured.right.total, 'image')}, these agree."
    return f"""<p>{verdict}</p>
<p>Expected calibration error: <strong>{percent(measured.error)}</strong>. By so much the stated probability and the
share of right answers differ, on average over the images. A network whose probabilities are exactly true would show
{percent(measured.error_by_chance)} with these images, by chance.</p>
<p class="faint">Each point is the images whose stated probability lies within a tenth; the vertical line is the 95 %
interval of their share of right answers. Points on the dashed line are as stated, below it too sure, above it too
careful. The bars count the images.</p>"""


def _diagram(measured: Reliability) -> str:
    left, _, right, bottom = _DIAGRAM.borders
    x, y = _DIAGRAM.x, _DIAGRAM.y
    most = max(each.right.total for each in measured.bins)
    counts = Axes((0, 1), (0, most), _WIDTH, _DIAGRAM.height, left=left, right=_DIAGRAM.right, top=bottom + 26)
    drawn = [
        _DIAGRAM.draw((), _SHARES, title="", across_text=_percent, up_text=_percent),
        f'<path class="ideal" d="M{x(0):g} {y(0):g}L{x(1):g} {y(1):g}"/>',
        f'<text x="{left + 8:g}" y="{y(0.93):g}">too careful</text>',
        f'<text x="{right - 8:g}" y="{y(0.04):g}" text-anchor="end">too sure</text>',
        *(_point(each) for each in measured.bins),
        counts.draw(_SHARES, (0,), title="stated probability", across_text=_percent, up_text=lambda _: "images"),
        *(_bar(counts, each) for each in measured.bins),
    ]
    return _DIAGRAM.svg(
        "Share of right answers by stated probability; the text beside says what it shows", "\n".join(drawn)
    )


def _point(each: Bin) -> str:
    low, high = each.right.interval
    x, y = _DIAGRAM.x(each.probability), _DIAGRAM.y
    return (
        f'<g class="point"><path d="M{x:.1f} {y(low):.1f}V{y(high):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{y(each.right.value):.1f}" r="4.5"/><title>{_described(each)}</title></g>'
    )


def _bar(axes: Axes, each: Bin) -> str:
    left, right, top = axes.x(each.low) + 1, axes.x(each.high) - 1, axes.y(each.right.total)
    return (
        f'<g class="count"><rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{axes.borders[3] - top:.1f}"/>'
        f'<text x="{(left + right) / 2:.1f}" y="{top - 5:.1f}" text-anchor="middle">{each.right.total:,}</text>'
        f"<title>{_described(each)}</title></g>"
    )


def _described(each: Bin) -> str:
    return (
        f"stated {_percent(each.low)} to {_percent(each.high)}: {counted(each.right.total, 'image')}, "
        f"mean {percent(each.probability)}, right {percent(each.right.value)}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}&nbsp;%"
