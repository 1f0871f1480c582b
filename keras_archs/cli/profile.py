"""`keras-archs profile`: cost of a network, by stage or by layer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from keras_archs.cli.output import JsonOption, as_text, working, write_json, write_rows
from keras_archs.cli.plot_option import PlotOption, check_plot, save_plot
from keras_archs.cli.quiet import import_keras
from keras_archs.registry import create_model, model_card


def profile(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, as 'keras-archs list' prints it.")],
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width of the image in pixels; the model's own by default.")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Print one row per layer instead of one per stage.")] = False,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model costs, stage by stage: parameters, multiply-adds and activations.

    A stage is all layers whose feature maps have the same size.
    """
    model_card(name)  # before Keras is imported, which takes seconds, so that an unknown name is refused at once
    check_plot(plot)
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
            save_plot(plot, plot_cost(cost, name), f"Cost of {name}", *stages)
    rows = [asdict(row) for row in (cost.layers if layers else cost.stages)]
    if layers:
        for row in rows:
            row["output_shape"] = row["output_shape"][1:]  # without the batch
    totals = {"parameters": cost.parameters, "macs": cost.macs, "activations": cost.activations}
    if as_json:
        write_json({"name": name, **totals, "bytes_moved": cost.bytes_moved, "layers" if layers else "stages": rows})
    elif layers:
        write_rows(rows, left=("name", "kind", "stage"))
    else:
        typer.echo(str(cost))
