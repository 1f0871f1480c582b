"""The settings of the run."""

from __future__ import annotations

from keras_archs.training.pages.text import text
from keras_archs.training.runs.outcome import Outcome


def settings(outcome: Outcome) -> str:
    """Return the settings as a list of terms."""
    if not outcome.settings:
        return ""
    rows = "".join(f"<dt>{text(term)}</dt><dd>{text(value)}</dd>\n" for term, value in outcome.settings.items())
    return f'<dl class="settings">\n{rows}</dl>\n'
