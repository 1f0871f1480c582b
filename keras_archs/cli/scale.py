"""`keras-archs scale` and `coefficients`: compound scaling, counted on real graphs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cards.scaling import GRID, PAPER, growth
from keras_archs.cli.output import JsonOption, as_text, working, write_json, write_rows
from keras_archs.cli.picture import PictureOption, check_picture, save_picture
from keras_archs.cli.startup import import_keras
from keras_archs.registry import SCALABLE, check_baseline, scalable

if TYPE_CHECKING:
    from keras_archs.analysis.compound_family import Member

_GRID = ",".join(f"{factor:g}" for factor in GRID)
_BASELINES = f"The network to scale: {', '.join(SCALABLE)}."


def scale(
    baseline: Annotated[str, typer.Argument(help=_BASELINES)] = "efficientnet-b0",
    phi: Annotated[
        str, typer.Option(metavar="LIST", help="Members, e.g. 0..7 or 0,0.5,1: how much there is to compute with.")
    ] = "0..7",
    alpha: Annotated[float, typer.Option(help="Factor on the depth for each step of phi.")] = PAPER[0],
    beta: Annotated[float, typer.Option(help="Factor on the width.")] = PAPER[1],
    gamma: Annotated[float, typer.Option(help="Factor on the resolution.")] = PAPER[2],
    max_macs: Annotated[float | None, typer.Option(help="Show only the largest member within so many.")] = None,
    max_params: Annotated[float | None, typer.Option(help="The same for parameters.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="The same for measured milliseconds.")] = None,
    plot: PictureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grow a network by compound scaling, and show what rounding makes of 2^phi."""
    check_baseline(baseline)
    check_picture(plot)
    phis = _phis(phi)
    with working(f"Scaling {baseline}"):
        import_keras()
        from keras_archs.analysis.budget import Budget
        from keras_archs.analysis.compound_family import member_for_budget, members

        build = scalable(baseline)
        coefficients = (alpha, beta, gamma)
        if max_macs is None and max_params is None and max_latency_ms is None:
            found = members(build, phis, coefficients)
        else:
            budget = Budget(max_macs, max_params, max_latency_ms)
            found = (member_for_budget(build, phis, budget, coefficients),)
    rows = [_row(member, growth(*coefficients)) for member in found]
    if plot:
        from keras_archs.analysis.plots import plot_growth

        title = f"{baseline}, scaled with alpha={alpha:g}, beta={beta:g}, gamma={gamma:g}"
        save_picture(plot, plot_growth({baseline: found}), title, *as_text(rows))
    if as_json:
        write_json(rows)
    else:
        write_rows(rows, left=())


def coefficients(
    baseline: Annotated[str, typer.Argument(help=_BASELINES)] = "efficientnet-b0",
    grid: Annotated[str, typer.Option(metavar="LIST", help="What to try for alpha, beta and gamma each.")] = _GRID,
    target: Annotated[float, typer.Option(help="Times the multiply-adds that each step of phi is to need.")] = 2.0,
    tolerance: Annotated[float, typer.Option(help="Part of the target that the real growth may miss it by.")] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Show which coefficients of a grid keep the budget of compound scaling, by real counts instead of the formula.

    All of the grid takes some minutes. To rank what is found by trainings is `keras_archs.search_coefficients`.
    """
    check_baseline(baseline)
    values = _numbers(grid)
    if not values:
        raise ValueError(f"--grid takes numbers such as 1,1.1,1.2; got {grid!r}")
    with working(f"Counting networks like {baseline}"):
        import_keras()
        from keras_archs.analysis.coefficients import feasible_coefficients

        found = feasible_coefficients(
            scalable(baseline), target=target, tolerance=tolerance, alphas=values, betas=values, gammas=values
        )
    rows = [{**asdict(point), "growth": round(point.growth, 3), "formula": round(point.formula, 3)} for point in found]
    if as_json:
        write_json(rows)
        return
    write_rows(rows, left=())
    typer.echo(f"{len(rows)} of {len(values) ** 3} points grow {target:g} times within {tolerance:.0%}")


def _phis(text: str) -> list[float]:
    """Read ``0..7`` or ``0,0.5,1``."""
    bounds = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    phis: list[float] = list(range(int(bounds[1]), int(bounds[2]) + 1)) if bounds else _numbers(text)
    if not phis:
        raise ValueError(f"--phi takes a range such as 0..7 or numbers such as 0,0.5,1; got {text!r}")
    return phis


def _numbers(text: str) -> list[float]:
    """Read ``1,1.1,1.2``; nothing of what is not like it."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return []


def _row(member: Member, formula: float) -> dict[str, Any]:
    factors = {name: round(factor, 3) for name, factor in asdict(member.factors).items()}
    ideal = 2**member.phi
    return {
        "phi": member.phi,
        **factors,
        "input": "x".join(map(str, member.size)),
        "parameters": member.parameters,
        "macs": member.macs,
        "growth": round(member.growth, 3),
        "formula": round(formula**member.phi, 3),
        "2^phi": round(ideal, 3),
        "ratio": round(member.growth / ideal, 3),
    }
