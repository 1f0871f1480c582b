"""`keras-archs choose`: the most accurate network within a budget, measured on this machine."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from keras_archs.cli.duration import parse_duration
from keras_archs.cli.output import JsonOption, as_text, write_json, write_table
from keras_archs.cli.plot_option import PlotOption, check_plot, save_plot
from keras_archs.cli.progress import weighted_progress
from keras_archs.cli.quantity import parse_quantity
from keras_archs.cli.quiet import quiet_tensorflow
from keras_archs.runtimes.runtime import Precision

if TYPE_CHECKING:
    from keras_archs.analysis.choice import Bounds, Candidate, Choice
    from keras_archs.analysis.latency import Latency
    from keras_archs.analysis.network_latency import NetworkLatencies


_CHECKED_LATER: Final = (
    "bfloat16: with its precision auto, a gateway computes in float32, which takes longer, if the published weights do "
    "not answer alike in bfloat16; --precision f32 measures that time"
)


def _latency(text: str) -> float:
    if text.strip().replace(".", "", 1).isdecimal():
        raise typer.BadParameter(f"a latency has a unit, e.g. 10ms or 0.5s; got {text!r}")
    return parse_duration(text)


def choose(
    max_latency: Annotated[
        float | None,
        typer.Option(parser=_latency, metavar="TIME", help="Longest time for one image, measured here, e.g. 10ms."),
    ] = None,
    max_macs: Annotated[
        float | None,
        typer.Option(parser=parse_quantity, metavar="NUMBER", help="Most multiply-adds for one image, e.g. 500M."),
    ] = None,
    max_params: Annotated[
        float | None, typer.Option(parser=parse_quantity, metavar="NUMBER", help="Most parameters, e.g. 5M.")
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(min=1, max=100, metavar="PERCENT", help="Least published top-1 accuracy, e.g. 75.")
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Leave out weights whose licence excludes commercial use.")
    ] = False,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Precision of the gateway that is to serve the network: auto for bfloat16 where the processor has it."
        ),
    ] = "auto",
    threads: Annotated[
        int, typer.Option(min=1, metavar="N", help="Threads that compute an image; the gateway takes one.")
    ] = 1,
    again: Annotated[bool, typer.Option("--again", help="Measure again what earlier runs have measured.")] = False,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the most accurate network within a budget, and print the command that publishes it.

    The networks are those with published weights and top-1 accuracy for ImageNet. The time of one image is measured on
    this machine as a gateway computes it, without loading the weights, and kept: a run that is interrupted goes on
    where it was. The table has the networks than which no other is as accurate in less time.
    """
    if max_latency is None and max_macs is None and max_params is None:
        raise ValueError("a budget needs at least one of --max-latency, --max-macs and --max-params")
    check_plot(plot)
    if not find_spec("openvino"):
        raise ModuleNotFoundError("openvino is not installed: pip install 'keras-archs[serve]'")
    from keras_archs.analysis.budget import Budget
    from keras_archs.analysis.choice import Bounds, candidates, within
    from keras_archs.analysis.latency import arithmetic_for
    from keras_archs.analysis.latency_cache import LatencyCache, default_folder
    from keras_archs.analysis.network_latency import NetworkLatencies

    budget = Budget(max_macs, max_params, None if max_latency is None else 1000 * max_latency)
    bounds = Bounds(budget, min_top1)
    fitting = within(bounds, candidates(commercial=commercial))
    measurements = NetworkLatencies(threads, arithmetic_for(precision), LatencyCache(default_folder()), again=again)
    with quiet_tensorflow():
        choice = _measured_choice(fitting, bounds, measurements)
    rows = [_row(choice, name) for name in choice.front]
    if plot:
        _plot(choice, budget.max_latency_ms, measurements.computation, plot, rows)
    if as_json:
        write_json(_as_json(choice, measurements))
    else:
        _write_text(choice, measurements, rows)
    _warn_of_disturbed(choice)


def _measured_choice(fitting: list[Candidate], bounds: Bounds, measurements: NetworkLatencies) -> Choice:
    from keras_archs.analysis.choice import choose as choose_among

    known = {name: latency for name, latency in ((c.name, measurements.find(c)) for c in fitting) if latency}
    expected = {candidate.name: _expected_time(candidate) for candidate in fitting if candidate.name not in known}
    with weighted_progress(sum(expected.values())) as show:
        show("Measuring convolutions", 0)
        rate = measurements.convolution_rate()
        seen: list[str] = []

        def on_progress(candidate: Candidate) -> None:
            if candidate.name in expected:
                done = sum(expected[name] for name in seen)
                seen.append(candidate.name)
                show(f"{len(seen)} of {len(expected)}: {candidate.entry.network}", done)

        return choose_among(fitting, bounds, measurements.measure, rate=rate, known=known, on_progress=on_progress)


def _expected_time(candidate: Candidate) -> float:
    """Return about how many seconds a network takes to be built and measured."""
    return 2 + candidate.cost.macs / 1e9


def _row(choice: Choice, name: str) -> dict[str, Any]:
    candidate, latency = choice.front[name], choice.latencies[name]
    entry = candidate.entry
    return {
        "model": entry.network,
        "weights": entry.tag,
        "best": "*" if candidate is choice.best else "",
        "top-1": f"{candidate.top1.value:.1f} %",
        "ms": f"{latency.median:.2f}",
        "quartiles": f"{latency.p25:.2f} to {latency.p75:.2f}",
        "input": entry.preprocessing.size,
        "parameters": candidate.cost.parameters,
        "macs": candidate.cost.macs,
        "licence": entry.licence if entry.commercial else f"{entry.licence} (NOT FOR COMMERCIAL USE)",
    }


def _write_text(choice: Choice, measurements: NetworkLatencies, rows: list[dict[str, Any]]) -> None:
    headings, cells = as_text(rows)
    write_table(headings, cells, right=["top-1", "ms", "quartiles", "input", "parameters", "macs"])
    typer.echo(
        f"\nms: median for one image at a time {measurements.computation}; OpenVINO {measurements.openvino}, "
        f"{measurements.processor}"
    )
    if measurements.arithmetic == "bf16":
        typer.echo(_CHECKED_LATER)
    if choice.left_out:
        typer.echo(
            f"not measured: {len(choice.left_out)} of {len(choice.left_out) + len(choice.latencies)} networks, whose "
            "multiply-adds alone take longer than the limit or than a network that is as accurate"
        )
    typer.echo(f"\nbest: {choice.best.entry.network}. To publish it:\n\n  {_command(choice.best)}")


def _warn_of_disturbed(choice: Choice) -> None:
    names = [name for name, latency in choice.latencies.items() if latency.disturbed]
    if names:
        typer.echo(
            f"warning: other programs used the processor while {', '.join(names[:3])}{', ...' if names[3:] else ''} "
            f"({len(names)} of {len(choice.latencies)}) were measured, so that the times are too long: measure with "
            "--again when the machine is idle",
            err=True,
        )


def _command(candidate: Candidate) -> str:
    entry = candidate.entry
    return shlex.join(["keras-archs", "export", entry.network, "--weights", entry.tag])


def _as_json(choice: Choice, measurements: NetworkLatencies) -> dict[str, Any]:
    def described(candidate: Candidate) -> dict[str, Any]:
        return {**_described(candidate), "latency": _latency_as_json(choice.latencies[candidate.name])}

    best = choice.best
    return {
        "measured": {
            "engine": "openvino",
            "version": measurements.openvino,
            "arithmetic": measurements.arithmetic,
            "threads": measurements.threads,
            "batch": 1,
            "processor": measurements.processor,
        },
        "best": {**described(best), "command": _command(best)},
        "front": [described(candidate) for candidate in choice.front.values()],
        "beaten": [described(candidate) for candidate in choice.beaten.values()],
        "left_out": [_described(candidate) for candidate in choice.left_out.values()],
    }


def _described(candidate: Candidate) -> dict[str, Any]:
    entry, cost = candidate.entry, candidate.cost
    return {
        "model": entry.network,
        "weights": entry.tag,
        "input": list(entry.preprocessing.size),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "top1": {"value": candidate.top1.value, "source": candidate.top1.source},
        "licence": entry.licence,
        "commercial_use": entry.commercial,
    }


def _latency_as_json(latency: Latency) -> dict[str, Any]:
    milliseconds = {name: getattr(latency, name) for name in ("median", "p25", "p75", "p90")}
    return {**{f"{name}_ms": round(value, 3) for name, value in milliseconds.items()}, "disturbed": latency.disturbed}


def _plot(
    choice: Choice, max_latency_ms: float | None, computation: str, plot: str, rows: list[dict[str, Any]]
) -> None:
    from keras_archs.analysis.plots import plot_choice

    # the first cell names the dot of the figure, of which several may be of one network
    table = [{**row, "model": name} for name, row in zip(choice.front, rows, strict=True)]
    figure = plot_choice(choice, max_latency_ms, computation=computation)
    save_plot(plot, figure, "Published accuracy against measured time", *as_text(table))
