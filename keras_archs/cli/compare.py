"""`keras-archs compare`: cost, published accuracy and measured time of several networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, as_text, working, write_json, write_rows
from keras_archs.cli.plot_option import PlotOption, check_plot, save_plot
from keras_archs.cli.quiet import import_keras
from keras_archs.registry import create_model, model_card

if TYPE_CHECKING:
    from keras_archs.cards.model_card import ModelCard

LatencyOption = Annotated[
    str | None,
    typer.Option(
        metavar="ENGINE", help="Also measure milliseconds per image on this machine: openvino, tensorflow or keras."
    ),
]


def compare(
    names: Annotated[list[str], typer.Argument(metavar="MODEL", help="Names of the models to compare.")],
    latency: LatencyOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare models: parameters, multiply-adds, published accuracy and, with --latency, measured time."""
    cards = [model_card(name) for name in names]
    check_plot(plot)
    times = _latencies(cards, latency) if latency else None
    rows = [
        {
            "model": card.name,
            "input": "x".join(map(str, card.preprocessing.size)),
            "parameters": card.cost.parameters,
            "macs": card.cost.macs,
            "top1": card.top1.value if card.top1 else None,
        }
        for card in cards
    ]
    for row, time in zip(rows, times or [], strict=bool(times)):
        row["ms"] = round(time, 2)
    table = [{**row, "top1": row["top1"] or ""} for row in rows]
    if plot:
        _plot_comparison(cards, times, plot, table)
    if as_json:
        write_json(rows)
    else:
        write_rows(table, left=("model",))


def _latencies(cards: list[ModelCard], engine: str) -> list[float]:
    import_keras()
    from keras_archs.analysis.latency import ENGINES, measure_latency

    if engine not in ENGINES:
        raise ValueError(f"--latency must be one of {', '.join(ENGINES)}; got {engine!r}")
    times = []
    for card in cards:
        with working(f"Measuring {card.name}"):
            times.append(measure_latency(create_model(card.name), engine).median)
    return times


def _plot_comparison(cards: list[ModelCard], times: list[float] | None, plot: str, table: list[dict[str, Any]]) -> None:
    import_keras()
    from keras_archs.analysis.plots import plot_comparison

    figure = plot_comparison(cards, times, "milliseconds for one image") if times else plot_comparison(cards)
    against = "measured time" if times else "multiply-adds"
    save_plot(plot, figure, f"Published accuracy against {against}", *as_text(table))
