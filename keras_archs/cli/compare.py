"""`keras-archs compare`: cost, published accuracy and measured time of several networks."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, as_text, working, write_json, write_rows
from keras_archs.cli.plot_option import PlotOption, check_plot, save_plot
from keras_archs.cli.quantization_text import quantization_facts
from keras_archs.cli.quiet import import_keras
from keras_archs.registry import create_model, model_card
from keras_archs.repository.artifact import check_repository, read_card, read_model_folder

if TYPE_CHECKING:
    from keras_archs.cards.model_card import ModelCard
    from keras_archs.repository.artifact_card import ArtifactCard

LatencyOption = Annotated[
    str | None,
    typer.Option(
        metavar="ENGINE", help="Also measure milliseconds per image on this machine: openvino, tensorflow or keras."
    ),
]


def compare(
    names: Annotated[list[str], typer.Argument(metavar="MODEL", help="Names of the models to compare.")],
    latency: LatencyOption = None,
    repository: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="With --latency openvino: show also the newest int8 version of each model in this folder.",
        ),
    ] = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare models: parameters, multiply-adds, published accuracy and, with --latency, measured time."""
    cards = [model_card(name) for name in names]
    check_plot(plot)
    if repository is not None and latency != "openvino":
        raise ValueError("--repository shows int8 versions, whose time OpenVINO tells: give --latency openvino as well")
    int8 = _int8_versions(names, repository) if repository is not None else []
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
    rows += [_int8_row(*version) for version in int8]
    table = [{**row, "top1": row["top1"] or ""} for row in rows]
    if plot:
        _plot_comparison(cards, times, plot, table)
    if as_json:
        write_json(rows)
    else:
        write_rows(table, left=("model",))
    for path, card in int8:
        facts = dict(quantization_facts(card.quantization)) if card.quantization else {}
        typer.echo(f"note: {_name(path, card)}: {facts['agreement']}", err=True)


def _int8_versions(names: list[str], repository: Path) -> list[tuple[Path, ArtifactCard]]:
    """Return the newest int8 version of each model that has one, and its card."""
    check_repository(repository)
    found = []
    for name in names:
        versions = read_model_folder(repository / name).versions
        cards = ((versions[number], read_card(versions[number])) for number in sorted(versions, reverse=True))
        found += list(islice(((path, card) for path, card in cards if card.quantization), 1))
    if not found:
        raise ValueError(f"{repository} has no int8 version of {' or '.join(names)}: 'keras-archs quantize' makes one")
    return found


def _int8_row(path: Path, card: ArtifactCard) -> dict[str, Any]:
    from keras_archs.analysis.latency import measure_version

    cost = model_card(card.name).cost
    with working(f"Measuring {_name(path, card)}"):
        latency = measure_version(path, card)
    return {
        "model": _name(path, card),
        "input": "x".join(map(str, card.preprocessing.size)),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "top1": None,  # that of float32 is not that of int8
        "ms": round(latency.median, 2),
    }


def _name(path: Path, card: ArtifactCard) -> str:
    return f"{card.name} version {path.name} (int8)"


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
