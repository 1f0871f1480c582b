"""The results of `keras-archs bench` as a table, and what a reader should know about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_archs.loadtest.recorder import Figures

_PERCENTILES = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}
_UNKNOWN = "-"


def cells(measured: Sequence[Figures]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a table with a row per load; times are in ms."""
    phases = list(dict.fromkeys(phase for figures in measured for phase in figures.phases))
    load = "rate" if measured[0].rate is not None else "clients"
    headings = [load, "requests", "answers/s", "errors", *_PERCENTILES.values(), *phases, "MB/s out", "MB/s in"]
    return headings, [_row(figures, phases) for figures in measured]


def _row(figures: Figures, phases: Sequence[str]) -> list[str]:
    latency = figures.latency
    return [
        f"{figures.clients if figures.rate is None else figures.rate:g}",
        f"{figures.requests:,}",
        f"{figures.answers_per_second:.1f}",
        f"{sum(figures.errors.values()):,}",
        *(f"{getattr(latency, name):.1f}" if latency else _UNKNOWN for name in _PERCENTILES),
        *(f"{figures.phases[phase]:.1f}" if phase in figures.phases else _UNKNOWN for phase in phases),
        f"{figures.sent_mb_per_second:.1f}",
        f"{figures.received_mb_per_second:.1f}",
    ]


def notes(measured: Sequence[Figures]) -> Iterator[str]:
    """Yield a line per load with errors, and a line on the loads for which the client was too slow."""
    for figures in measured:
        if figures.errors and (failed := figures.error_latency):
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in figures.errors.items())
            yield f"errors at {_load(figures)}: {kinds}; after {failed.p50:.1f} ms (p50), {failed.p99:.1f} ms (p99)"
    slow = [(_load(figures), figures.late) for figures in measured if figures.is_client_slow and figures.late]
    if slow:
        yield (
            f"note: the client itself was the bottleneck at {', '.join(load for load, _ in slow)}: it acted up to "
            f"{max(late.p99 for _, late in slow):.0f} ms late (p99), which the latencies include. Measure from a "
            "machine with a free core."
        )


def _load(figures: Figures) -> str:
    return f"concurrency {figures.clients}" if figures.rate is None else f"rate {figures.rate:g}"
