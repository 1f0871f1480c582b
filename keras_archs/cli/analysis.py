"""`keras-archs profile`, `compare` and `scale`: what networks cost."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, working, write_json, write_table
from keras_archs.cli.startup import import_keras
from keras_archs.registry import create_model, model_card
from keras_archs.scaling import PAPER

if TYPE_CHECKING:
    from keras_archs.cards import ModelCard
    from keras_archs.family import Member

PictureOption = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw it as well, to a .png, .svg or .pdf file.")
]
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
    _check_picture(plot)
    with working(f"Building {name}"):
        import_keras()
        import keras

        from keras_archs.cost import profile

        arguments = {"input_shape": (size, size, 3)} if size else {}
        with keras.StatelessScope(initialize_variables=False):  # counting needs no values
            cost = profile(create_model(name, **arguments))
        if plot:
            from keras_archs.plots import plot_cost

            plot_cost(cost, name).savefig(plot)
    rows = [asdict(row) for row in (cost.layers if layers else cost.stages)]
    for row in rows if layers else ():
        row["output_shape"] = row["output_shape"][1:]  # without the batch
    totals = {"parameters": cost.parameters, "macs": cost.macs, "activations": cost.activations}
    if as_json:
        write_json({"name": name, **totals, "bytes_moved": cost.bytes_moved, "layers" if layers else "stages": rows})
    elif layers:
        _write_rows(rows, left=("name", "kind", "stage"))
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
    _check_picture(plot)
    times = _latencies(cards, latency) if latency else None
    if plot:
        _plot_comparison(cards, times, plot)
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
    if as_json:
        write_json(rows)
    else:
        _write_rows([{**row, "top1": row["top1"] or ""} for row in rows], left=("model",))


def _latencies(cards: list[ModelCard], engine: str) -> list[float]:
    import_keras()
    from keras_archs.latency import ENGINES, measure_latency

    if engine not in ENGINES:
        raise ValueError(f"--latency is one of {', '.join(ENGINES)}; got {engine!r}")
    times = []
    for card in cards:
        with working(f"Measuring {card.name}"):
            times.append(measure_latency(create_model(card.name), engine).median)
    return times


def _plot_comparison(cards: list[ModelCard], times: list[float] | None, plot: str) -> None:
    import_keras()
    from keras_archs.plots import plot_comparison

    figure = plot_comparison(cards, times, "milliseconds for one image") if times else plot_comparison(cards)
    figure.savefig(plot)


def scale(
    baseline: Annotated[str, typer.Argument(help="The network to scale: efficientnet-b0.")] = "efficientnet-b0",
    phi: Annotated[
        str, typer.Option(metavar="LIST", help="Members, e.g. 0..7 or 0,0.5,1: how much there is to compute with.")
    ] = "0..7",
    alpha: Annotated[float, typer.Option(help="Factor on the depth for each step of phi.")] = PAPER[0],
    beta: Annotated[float, typer.Option(help="Factor on the width.")] = PAPER[1],
    gamma: Annotated[float, typer.Option(help="Factor on the resolution.")] = PAPER[2],
    max_macs: Annotated[float | None, typer.Option(help="Show only the largest member within so many.")] = None,
    max_params: Annotated[float | None, typer.Option(help="The same for parameters.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="The same for measured milliseconds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Grow a network by compound scaling, and show what rounding makes of 2^phi."""
    if baseline not in _SCALABLE:
        raise ValueError(f"scale takes {', '.join(_SCALABLE)}; got {baseline!r}")
    phis = _phis(phi)
    with working(f"Scaling {baseline}"):
        import_keras()
        import keras_archs
        from keras_archs.budget import Budget
        from keras_archs.family import member_for_budget, members

        build = getattr(keras_archs, _SCALABLE[baseline])
        coefficients = (alpha, beta, gamma)
        if max_macs is None and max_params is None and max_latency_ms is None:
            found = members(build, phis, coefficients)
        else:
            budget = Budget(max_macs, max_params, max_latency_ms)
            found = (member_for_budget(build, phis, budget, coefficients),)
    rows = [_member(member) for member in found]
    if as_json:
        write_json(rows)
    else:
        _write_rows(rows, left=())


def _check_picture(path: str | None) -> None:
    if path and not path.lower().endswith(_PICTURES):
        raise ValueError(f"a picture's name ends in {', '.join(_PICTURES)}; got {path!r}")


_PICTURES = (".png", ".svg", ".pdf")
_SCALABLE = {"efficientnet-b0": "EfficientNet"}
"""Builders that take depth, width and resolution, by the names of their baselines."""


def _phis(text: str) -> list[float]:
    """Read ``0..7`` or ``0,0.5,1``."""
    if bounds := re.fullmatch(r"(\d+)\.\.(\d+)", text):
        first, last = map(int, bounds.groups())
        phis: list[float] = list(range(first, last + 1))
    else:
        try:
            phis = [float(number) for number in text.split(",")]
        except ValueError:
            phis = []
    if not phis:
        raise ValueError(f"--phi takes a range such as 0..7 or numbers such as 0,0.5,1; got {text!r}")
    return phis


def _member(member: Member) -> dict[str, Any]:
    factors = {name: round(factor, 3) for name, factor in asdict(member.factors).items()}
    ideal = 2**member.phi
    return {
        "phi": member.phi,
        **factors,
        "input": "x".join(map(str, member.size)),
        "parameters": member.parameters,
        "macs": member.macs,
        "growth": round(member.growth, 3),
        "2^phi": round(ideal, 3),
        "ratio": round(member.growth / ideal, 3),
    }


def _write_rows(rows: list[dict[str, Any]], *, left: tuple[str, ...]) -> None:
    headings = list(rows[0])
    write_table(
        [heading.replace("_", " ") for heading in headings],
        [[_cell(row[heading]) for heading in headings] for row in rows],
        right=[heading.replace("_", " ") for heading in headings if heading not in left],
    )


def _cell(value: object) -> str:
    match value:
        case None:
            return "unknown"
        case tuple():
            return "x".join(map(str, value))
        case int():
            return f"{value:,}"
        case _:
            return str(value)
