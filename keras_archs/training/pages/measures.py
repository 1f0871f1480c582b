"""A measured share of images as a large number with its interval."""

from __future__ import annotations

from keras_archs.training.pages.text import percent


def measure(
    name: str, share: float, interval: tuple[float, float], images: str, *, mark: float | None = None, note: str = ""
) -> str:
    """Return a panel with a share, its interval in words, and both on a scale from 0 to 100 %.

    Args:
        name: What was measured, as HTML.
        share: The share, 0 to 1.
        interval: Bounds of its interval of 95 % confidence, 0 to 1.
        images: How many images the share is of, as HTML.
        mark: Another share to mark on the scale, 0 to 1; None for no mark.
        note: HTML of a line below the scale; empty for no line.
    """
    low, high = interval
    marked = "" if mark is None else f'<u style="left: {100 * mark:.2f}%"></u>'
    inside = f'<i style="left: {100 * low:.2f}%; right: {100 - 100 * high:.2f}%"></i>'
    below = f'<p class="faint">{note}</p>' if note else ""
    return f"""<div class="measure">
<p>{name}</p>
<b>{percent(share)}</b>
<p>{images}; 95 % interval {percent(low)} to {percent(high)}</p>
<div class="scale" aria-hidden="true">{inside}{marked}</div>
{below}
</div>
"""
