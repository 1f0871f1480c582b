"""`keras-archs profile` and `compare`: what networks cost."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, as_text, working, write_json, write_rows
from keras_archs.cli.picture import PictureOption, check_picture, save_picture
from keras_archs.cli.startup import import_keras
from keras_archs.registry import create_model, model_card

if TYPE_CHECKING:
    from keras_archs.cards.model_card import ModelCard

EngineOption = Annotated[
    str | None,
    typer.Option(metavar="ENGINE", help="Measure milliseconds on this machine: openvino, tensorflow or keras."),
]


def profile(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name; `keras-archs list` prints them.")],
    size: Annotated[int | None, typer.Option(min=1, help="Height and width of the image, if not the model's.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="A row per layer instead of one per stage.")] = False,
    plot: PictureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model costs, by the size of its feature maps or by layer."""
    model_card(name)  # a typo should not cost the seconds that Keras takes to start
    check_picture(plot)
    with working(f"Building {name}"):
        import_keras()
        from keras_archs.analysis.cost import profile
        from keras_archs.analysis.weightless import weightless

        arguments = {"input_shape": (size, size, 3)} if size else {}
        with weightless():  # counting needs no values
            cost = profile(create_model(name, **arguments))
        if plot:
            from keras_archs.analysis.plots import plot_cost

            stages = as_text([asdict(stage) for stage in cost.stages])
            save_picture(plot, plot_cost(cost, name), f"What {name} costs", *stages)
    rows = [asdict(row) for row in (cost.layers if layers else cost.stages)]
    for row in rows if layers else ():
        row["output_shape"] = row["output_shape"][1:]  # without the batch
    totals = {"parameters": cost.parameters, "macs": cost.macs, "activations": cost.activations}
    if as_json:
        write_json({"name": name, **totals, "bytes_moved": cost.bytes_moved, "layers" if layers else "stages": rows})
    elif layers:
        write_rows(rows, left=("name", "kind", "stage"))
    else:
        typer.echo(str(cost))


def compare(
    names: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names of models to compare.")],
    latency: EngineOption = None,
    plot: PictureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare models: size, multiply-adds, published accuracy and, if wanted, measured time."""
    cards = [model_card(name) for name in names]
    check_picture(plot)
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
        raise ValueError(f"--latency is one of {', '.join(ENGINES)}; got {engine!r}")
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
    save_picture(plot, figure, f"Published accuracy against {against}", *as_text(table))
