"""The work of `keras-archs train`: begin a run, begin it again, or go on with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import typer

from keras_archs.cli.output import working
from keras_archs.cli.quiet import quiet_tensorflow
from keras_archs.cli.train_results import Results
from keras_archs.cli.train_watch import TerminalWatch
from keras_archs.registry import model_card
from keras_archs.repository.artifact import check_name, is_name
from keras_archs.training.data.dataset import SPLITS, Dataset
from keras_archs.training.data.image_folder import image_folder
from keras_archs.training.data.packaged import Packaged, packaged
from keras_archs.training.networks import NetworkChoice
from keras_archs.training.runs.config import DataConfig, Method, RunConfig, changes, installed_packages, read_config
from keras_archs.training.runs.file_list import digest_of
from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.tuning.distributed import ALONE, Distribution, distributed
from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.recipes import RECIPES


@dataclass(frozen=True)
class NewRun:
    """What a command line asks for."""

    photos: Path | None
    packaged: Packaged | None
    name: str | None
    network: str
    weights: str | None
    method: Method
    recipe: str | None
    changes: Mapping[str, int | float | None]
    """Fields of the recipe to change; None to keep the recipe's."""
    time_limit: float | None
    image_size: int | None
    may_flip: bool
    seed: int
    repository: Path | None
    report: bool


def run_new(asked: NewRun, runs: Path, together: Distribution | None, *, as_json: bool) -> None:
    """Begin a run."""
    source = str(asked.packaged or asked.photos)
    name = check_name(asked.name) if asked.name is not None else _name_of(source)
    choice, recipe = _choice(asked), _recipe(asked)
    data = _read(source, asked.seed, is_packaged=asked.packaged is not None)
    data = replace(data, may_flip=data.may_flip and asked.may_flip)
    config = RunConfig(
        name=name,
        data=_described(data, is_packaged=asked.packaged is not None),
        method=asked.method,
        network=choice.name,
        weights=choice.weights,
        image_size=choice.image_size,
        recipe=_mirroring(recipe, may_flip=data.may_flip),
        time_limit=asked.time_limit,
        seed=asked.seed,
        repository=None if asked.repository is None else str(asked.repository),
        report=asked.report,
        packages=installed_packages(),
    )
    _carry_out(lambda: RunFolder.create(runs, config), data, together, as_json=as_json)


def run_again(path: Path, runs: Path, together: Distribution | None, *, as_json: bool) -> None:
    """Begin a new run with the configuration of another."""
    before = read_config(path)
    data = _read_again(before.data, before.seed)
    found = _described(data, is_packaged=before.data.packaged)
    config = before.model_copy(update={"data": found, "packages": installed_packages()})
    for change in changes(before, config):
        typer.echo(f"note: {change}", err=True)
    _carry_out(lambda: RunFolder.create(runs, config), data, together, as_json=as_json)


def go_on(path: Path, together: Distribution | None, *, to_train: bool, as_json: bool) -> None:
    """Go on with a run."""
    folder = RunFolder.existing(path)
    config = folder.config
    data = _read_again(config.data, config.seed)
    now = config.model_copy(update={"data": _described(data, is_packaged=config.data.packaged)})
    if changed := changes(config, now):
        raise ValueError(
            f"{changed[0]}; begin a new run: keras-archs train --config {typer.format_filename(folder.config_file)}"
        )
    if together and folder.state.trained:  # the rest is the work of the first process; the others may be gone for good
        if together.process:
            return
        together = None
    _carry_out(lambda: folder, data, together, as_json=as_json, to_train=to_train)


def _carry_out(
    make_folder: Callable[[], RunFolder],
    data: Dataset,
    together: Distribution | None,
    *,
    as_json: bool,
    to_train: bool = True,
) -> None:
    from keras_archs.training.runs.run import carry_out

    with ExitStack() as processes:
        team = ALONE
        if together:
            _start_keras()
            team = processes.enter_context(distributed(together))
        # the first process numbers the run for all
        folder = RunFolder(Path(team.share(str(make_folder().path) if team.is_first else "")))
        results = Results(folder, data, as_json=as_json)
        if team.is_first:
            results.begin()
        with working("Starting Keras"):
            _start_keras()
        watch = TerminalWatch(results.published)
        try:
            finished = carry_out(folder, data, watch, to_train=to_train, team=team, leave=processes.close)
        except KeyboardInterrupt:
            if team.is_first:
                results.interrupted()
            raise
        if finished:
            results.finished(finished)


def _start_keras() -> None:
    with quiet_tensorflow():
        import keras  # noqa: F401
        import tensorflow as tf  # noqa: F401  Keras loads it on every backend, for its random numbers


def _name_of(source: str) -> str:
    path = Path(source).resolve()  # the name of the folder "."
    name = path.stem if path.suffix.lower() in {".csv", ".parquet"} else path.name
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100]
    if not is_name(name):
        raise ValueError(f"{source!r} has no letter or digit to name the model after: give --name")
    return name


def _choice(asked: NewRun) -> NetworkChoice:
    card = model_card(asked.network)
    if asked.method == "from-scratch":
        return NetworkChoice(card.name, None, asked.image_size)
    if asked.weights is None and card.default is None:
        tags = "".join(f"--weights {tag}, " for tag in card.weights)
        raise ValueError(
            f"{card.name} has no default weights: give {tags}--weights PATH, or --from-scratch --recipe NAME"
        )
    return NetworkChoice.pretrained(card.name, asked.weights, asked.image_size)


def _recipe(asked: NewRun) -> Recipe | None:
    if asked.method == "head":
        return None
    if asked.recipe is None and asked.method == "from-scratch":
        raise ValueError(f"--from-scratch needs --recipe: {', '.join(RECIPES)}")
    name = asked.recipe or "fine-tune"
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; recipes: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    changed: dict[str, Any] = {field: value for field, value in asked.changes.items() if value is not None}
    return replace(recipe, **changed)


def _mirroring(recipe: Recipe | None, *, may_flip: bool) -> Recipe | None:
    """Return a recipe that mirrors images only if the data may be mirrored."""
    if recipe is None:
        return None
    return replace(recipe, augmentation=replace(recipe.augmentation, flip=recipe.augmentation.flip and may_flip))


def _read(source: str, seed: int, *, is_packaged: bool) -> Dataset:
    with working(f"Reading {source}"):
        return packaged(cast(Packaged, source), seed=seed) if is_packaged else image_folder(source, seed=seed)


def _read_again(data: DataConfig, seed: int) -> Dataset:
    return replace(_read(data.source, seed, is_packaged=data.packaged), may_flip=data.may_flip)


def _described(data: Dataset, *, is_packaged: bool) -> DataConfig:
    return DataConfig(
        source=data.source,
        packaged=is_packaged,
        may_flip=data.may_flip,
        classes=data.classes,
        images={name: len(images.paths) for name in SPLITS if (images := data.split(name))},
        digest=digest_of(data),
    )
