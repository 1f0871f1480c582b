"""A figure of latencies against the load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_archs.analysis.extras import import_extra
from keras_archs.loadtest.recorder import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PERCENTILES = {"p50": "50 %", "p90": "90 %", "p99": "99 %", "p999": "99.9 %", "max": "slowest"}


def plot_latency(measured: Sequence[Figures], title: str) -> Figure:
    """Draw the percentiles of the latency against the answers per second, and the medians of a request's phases.

    Args:
        measured: Figures of each load; loads without an answer are left out.
        title: Title of the figure.

    Raises:
        ModuleNotFoundError: If matplotlib (extra ``analysis``) is not installed.
    """
    answered = [(figures, figures.latency) for figures in measured if figures.latency]
    figure: Figure = import_extra("matplotlib.figure", "analysis").Figure((11, 4.5), layout="constrained", dpi=120)
    latency, phases = figure.subplots(1, 2)
    rates = [figures.answers_per_second for figures, _ in answered]
    for name, label in _PERCENTILES.items():
        latency.plot(rates, [getattr(of, name) for _, of in answered], "o-", markersize=4, alpha=0.8, label=label)
    for (figures, of), rate in zip(answered, rates, strict=True):
        latency.annotate(load(figures), (rate, of.p50), xytext=(4, -10), textcoords="offset points", fontsize=7)
    latency.set_yscale("log")
    for formatter in (latency.yaxis.set_major_formatter, latency.yaxis.set_minor_formatter):
        formatter("{x:g}")
    latency.set_xlabel("answers per second")
    latency.set_ylabel("latency, ms")
    latency.grid(alpha=0.3, which="both")
    if answered:
        latency.legend(fontsize=8)
    names = list(dict.fromkeys(name for figures, _ in answered for name in figures.phases))
    below = [0.0] * len(answered)
    for name in names:
        times = [figures.phases.get(name, 0.0) for figures, _ in answered]
        phases.bar([load(figures) for figures, _ in answered], times, bottom=below, label=name)
        below = [low + time for low, time in zip(below, times, strict=True)]
    phases.set_ylabel("median of each phase, ms")
    phases.tick_params(axis="x", labelsize=7)
    if names:
        phases.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def load(figures: Figures) -> str:
    """Return the load in words, such as "8 clients" or "100/s"."""
    if figures.rate is not None:
        return f"{figures.rate:g}/s"
    return "1 client" if figures.clients == 1 else f"{figures.clients} clients"
