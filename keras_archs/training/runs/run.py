"""From the configuration of a run to its published version, its numbers and its page, in stages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_archs.repository.artifact import CONVERSION_CACHE, read_card
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.local import installed_runtime, load_version
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import Session
from keras_archs.training.data.dataset import Dataset, Split
from keras_archs.training.data.faults import DataFaults
from keras_archs.training.evaluation.answer_table import write_answers
from keras_archs.training.evaluation.answers import Answers
from keras_archs.training.evaluation.evaluating import evaluate
from keras_archs.training.runs.config import RunConfig
from keras_archs.training.runs.publish import version_of
from keras_archs.training.runs.run_folder import RunFolder
from keras_archs.training.runs.train import INTERRUPTED, Trained, train
from keras_archs.training.runs.watch import Watch
from keras_archs.training.tuning.checkpoints import replacing
from keras_archs.training.tuning.distributed import ALONE, Team


@dataclass(frozen=True)
class Finished:
    """What a finished run has found."""

    answers: Mapping[Split, Answers]
    """Answers of the published version to the validation images and, if there are any, to the test images."""
    unreadable: Mapping[str, str]
    """Why an image could not be read in training, by its path."""
    faults: DataFaults | None
    """None if the run has no report."""
    seconds: Mapping[str, float]
    """Duration of "train" and "publish", and of what `train` consists of as far as it is measured."""


def carry_out(
    folder: RunFolder,
    data: Dataset,
    watch: Watch,
    *,
    to_train: bool = True,
    team: Team = ALONE,
    leave: Callable[[], None] = lambda: None,
) -> Finished | None:
    """Do what a run has not done yet: train, publish, measure, and write the page.

    The process can be killed at any moment; another call goes on. A version is published at most once.

    Args:
        folder: Folder of the run.
        data: The data that the configuration of the run names.
        watch: Is told how the run goes on.
        to_train: Whether an unfinished training goes on; if not, its best weights so far are published.
        team: The processes that train together, of which the first does everything else.
        leave: Called when the processes need each other no longer.

    Returns:
        What the run has found; None in all processes but the first.

    Raises:
        KeyboardInterrupt: Ctrl-C. `best.keras` has the best weights so far, if there are any.
        ValueError: Another process has the folder, or no network comes of the data; the message says why.
    """
    if not team.is_first:
        stopped = None if team.share(None) else train(folder.config, folder, data, watch, team).stopped
        leave()
        if stopped == INTERRUPTED:
            raise KeyboardInterrupt  # so that the exit status is not that of a finished training
        return None
    with folder.locked():
        folder.update(status="running")
        try:
            finished = _carry_out(folder, data, watch, to_train=to_train, team=team, leave=leave)
        except KeyboardInterrupt:
            folder.update(status="interrupted")
            raise
        except Exception:
            folder.update(status="failed")
            raise
        folder.update(status="finished")
    return finished


def _carry_out(
    folder: RunFolder, data: Dataset, watch: Watch, *, to_train: bool, team: Team, leave: Callable[[], None]
) -> Finished:
    config, trained = folder.config, None
    started = time.perf_counter()
    if not team.share(folder.state.trained or not to_train):
        trained = train(config, folder, data, watch, team)
        _keep(folder, trained)
        if trained.stopped == INTERRUPTED:
            leave()
            raise KeyboardInterrupt
    elif not folder.state.trained:
        _keep_best_so_far(folder)
    leave()
    shutil.rmtree(folder.checkpoints, ignore_errors=True)  # several times the size of the weights, and not needed again
    ended = time.perf_counter()
    with version_of(folder, trained.model if trained else None) as version_dir:
        seconds = {"train": ended - started, "publish": time.perf_counter() - ended}
        if config.repository is not None:
            watch.published(version_dir)
        card = read_card(version_dir)
        with watch.working(f"Loading {config.name}"):
            session = _load(version_dir, card, config)
        answers = _measure(session, card, data, folder, watch)
        faults = None
        if config.report:
            from keras_archs.training.runs.page import find_run_faults, write_page  # not before the version is out

            features = trained.features if trained else {}
            faults = find_run_faults(config, data, features, folder.state.unreadable, watch)
            with watch.working("Writing the report"):
                write_page(folder, data, answers, faults, session=session, version_dir=version_dir, card=card)
    return Finished(answers, folder.state.unreadable, faults, {**seconds, **(trained.seconds if trained else {})})


def _keep(folder: RunFolder, trained: Trained) -> None:
    """Write the best weights; everything after this can be done again from them."""
    with replacing(folder.best) as incoming:
        trained.model.save(incoming)
    finished = trained.stopped != INTERRUPTED
    folder.update(trained=finished, stopped=trained.stopped, unreadable=dict(trained.unreadable))


def _keep_best_so_far(folder: RunFolder) -> None:
    """Take the best weights of an unfinished training for its result."""
    from keras_archs.training.tuning.loop import BEST  # imports Keras

    best = folder.checkpoints / BEST
    if not best.exists():
        raise ValueError(f"{folder.path} has no weights yet that could be published: go on with --resume")
    with replacing(folder.best) as incoming:
        shutil.copyfile(best, incoming)
    folder.update(trained=True, stopped=INTERRUPTED)


def _load(version_dir: Path, card: ArtifactCard, config: RunConfig) -> Session:
    cache = None if config.repository is None else Path(config.repository) / CONVERSION_CACHE
    return load_version(installed_runtime(cache_dir=cache, streams=usable_cores()), version_dir, card)


def _measure(
    session: Session, card: ArtifactCard, data: Dataset, folder: RunFolder, watch: Watch
) -> dict[Split, Answers]:
    """Ask the published version for all images that it was not trained with."""
    answers: dict[Split, Answers] = {}
    for split in ("validation", "test"):
        images = data.split(split)
        if images is None:
            continue
        with watch.counting(f"Evaluating {split} images", len(images.paths)) as on_progress:
            answers[split] = evaluate(session, card, images, on_progress=on_progress)
        write_answers(answers[split], folder.predictions(split))
    return answers
