"""`keras-archs scale` and `keras-archs coefficients`: compound scaling, with counts of real graphs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cards.scaling import GRID, PAPER, growth
from keras_archs.cli.output import JsonOption, as_text, working, write_json, write_rows
from keras_archs.cli.plot_option import PlotOption, check_plot, save_plot
from keras_archs.cli.quantity import parse_quantity
from keras_archs.cli.quiet import import_keras
from keras_archs.registry import SCALABLE, check_baseline, scalable

if TYPE_CHECKING:
    from keras_archs.analysis.compound_family import Member

_GRID = ",".join(f"{factor:g}" for factor in GRID)
_BASELINES = f"The network to scale: {', '.join(SCALABLE)}."


def scale(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help=_BASELINES)] = "efficientnet-b0",
    phi: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Compound coefficients: a range 0..7 or a list 0,0.5,1. The cost grows as 2^phi.",
        ),
    ] = "0..7",
    alpha: Annotated[float, typer.Option(help="Depth is multiplied by alpha^phi.")] = PAPER[0],
    beta: Annotated[float, typer.Option(help="Width is multiplied by beta^phi.")] = PAPER[1],
    gamma: Annotated[float, typer.Option(help="Resolution is multiplied by gamma^phi.")] = PAPER[2],
    max_macs: Annotated[
        float | None,
        typer.Option(
            parser=parse_quantity,
            metavar="NUMBER",
            help="Show only the largest network with at most this many multiply-adds, e.g. 500M.",
        ),
    ] = None,
    max_params: Annotated[
        float | None,
        typer.Option(parser=parse_quantity, metavar="NUMBER", help="Likewise, with at most this many parameters."),
    ] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Likewise, within this measured time per image.")] = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scale a network by EfficientNet's compound scaling, and compare its real growth with 2^phi."""
    check_baseline(baseline)
    check_plot(plot)
    phis = _phis(phi)
    with working(f"Scaling {baseline}"):
        import_keras()
        from keras_archs.analysis.budget import Budget
        from keras_archs.analysis.compound_family import member_for_budget, members

        build = scalable(baseline)
        coefficients = (alpha, beta, gamma)
        if max_macs is None and max_params is None and max_latency_ms is None:
            family = members(build, phis, coefficients)
        else:
            budget = Budget(max_macs, max_params, max_latency_ms)
            family = (member_for_budget(build, phis, budget, coefficients),)
    rows = [_row(member, growth(*coefficients)) for member in family]
    if plot:
        from keras_archs.analysis.plots import plot_growth

        title = f"{baseline}, scaled with alpha={alpha:g}, beta={beta:g}, gamma={gamma:g}"
        save_plot(plot, plot_growth({baseline: family}), title, *as_text(rows))
    if as_json:
        write_json(rows)
    else:
        write_rows(rows, left=())


def coefficients(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help=_BASELINES)] = "efficientnet-b0",
    grid: Annotated[str, typer.Option(metavar="LIST", help="Values to try for each of alpha, beta and gamma.")] = _GRID,
    target: Annotated[
        float, typer.Option(help="Factor by which multiply-adds should grow with each step of phi.")
    ] = 2.0,
    tolerance: Annotated[float, typer.Option(help="Relative deviation from the target that is accepted.")] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Find the compound-scaling coefficients whose multiply-adds grow by the target factor, by counting real graphs.

    The whole grid takes some minutes. To rank the coefficients by short trainings, use
    keras_archs.search_coefficients in Python.
    """
    check_baseline(baseline)
    values = _numbers(grid)
    if not values:
        raise ValueError(f"--grid takes numbers such as 1,1.1,1.2; got {grid!r}")
    with working(f"Counting networks like {baseline}"):
        import_keras()
        from keras_archs.analysis.coefficients import feasible_coefficients

        points = feasible_coefficients(
            scalable(baseline), target=target, tolerance=tolerance, alphas=values, betas=values, gammas=values
        )
    rows = [{**asdict(point), "growth": round(point.growth, 3), "formula": round(point.formula, 3)} for point in points]
    if as_json:
        write_json(rows)
        return
    write_rows(rows, left=())
    typer.echo(f"{len(rows)} of {len(values) ** 3} points grow {target:g} times within {tolerance:.0%}")


def _phis(text: str) -> list[float]:
    """Parse ``0..7`` or ``0,0.5,1``."""
    bounds = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    phis: list[float] = list(range(int(bounds[1]), int(bounds[2]) + 1)) if bounds else _numbers(text)
    if not phis:
        raise ValueError(f"--phi takes a range such as 0..7 or numbers such as 0,0.5,1; got {text!r}")
    return phis


def _numbers(text: str) -> list[float]:
    """Parse ``1,1.1,1.2``; return [] for any other text."""
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
