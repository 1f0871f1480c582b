"""A training that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_archs.training.data.dataset import Dataset
from keras_archs.training.tuning import loop
from keras_archs.training.tuning.checkpoints import CheckpointError
from keras_archs.training.tuning.fine_tune import FineTuned, fine_tune
from keras_archs.training.tuning.recipe import Recipe
from tests.support.tuning import PREPROCESSING, RECIPE, paint_shades, shades_network, train

STRONG = replace(RECIPE, optimizer="adamw", learning_rate=0.01, ema=0.5, weight_decay=0.01, label_smoothing=0.1)


class Killed(BaseException):
    """Ends a training as abruptly as one process can end its own."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return paint_shades(tmp_path_factory.mktemp("shades"))


def tune(data: Dataset, recipe: Recipe, checkpoints: Path | None = None, *, killed_after: int = 0) -> FineTuned:
    def kill(step: int, steps: int) -> None:
        if step == killed_after:
            raise Killed

    return fine_tune(
        data, shades_network(), recipe=recipe, preprocessing=PREPROCESSING, checkpoints=checkpoints, on_step=kill
    )


def test_a_training_that_is_killed_three_times_gives_the_numbers_of_an_undisturbed_one(
    data: Dataset, tmp_path: Path
) -> None:
    for step in (2, 7, 10):  # in each of the three epochs of four steps
        with pytest.raises(Killed):
            tune(data, STRONG, tmp_path, killed_after=step)
    resumed, undisturbed = tune(data, STRONG, tmp_path), tune(data, STRONG)
    same = [
        [replace(metrics, seconds=0) for metrics in result.history if metrics.epoch]
        for result in (resumed, undisturbed)
    ]
    assert same[0] == same[1]
    weights = zip(resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_a_checkpoint_in_the_middle_of_an_epoch_is_exact_too(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)  # after each step
    with pytest.raises(Killed):
        tune(data, RECIPE, tmp_path, killed_after=7)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000000005.npz", "step-000000006.npz"]
    resumed, undisturbed = tune(data, RECIPE, tmp_path), tune(data, RECIPE)
    assert replace(resumed.history[-1], seconds=0) == replace(undisturbed.history[-1], seconds=0)


def test_a_finished_training_does_nothing_more(data: Dataset, tmp_path: Path) -> None:
    first, second = tune(data, RECIPE, tmp_path), tune(data, RECIPE, tmp_path, killed_after=13)
    assert repr(first.history) == repr(second.history)
    weights = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_a_changed_recipe_or_changed_images_are_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        tune(data, RECIPE, tmp_path, killed_after=1)
    with pytest.raises(CheckpointError, match="a training with other recipe:"):
        tune(data, replace(RECIPE, batch=4), tmp_path)
    fewer = replace(data.train, paths=data.train.paths[1:], classes=data.train.classes[1:])
    with pytest.raises(CheckpointError, match="a training with other images:"):
        tune(replace(data, train=fewer), RECIPE, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["small", "lite0"])
def test_sigkill_at_three_random_moments_does_not_change_the_validation_loss(tmp_path: Path, network: str) -> None:
    folder = tmp_path / "images"
    command = [
        sys.executable,
        "-m",
        "tests.support.tuning",
        str(folder),
        "--checkpoints",
        str(tmp_path / "checkpoints"),
    ]
    command += ["--lite0"] * (network == "lite0")
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in range(random.randint(1, 5)):
                process.stdout.readline()
            process.kill()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    history = json.loads((folder / "history.json").read_text())
    undisturbed = train(tmp_path / "again", None, lite0=network == "lite0").history
    assert [metrics["step"] for metrics in history] == [metrics.step for metrics in undisturbed]
    assert abs(history[-1]["validation_loss"] - undisturbed[-1].validation_loss) < 1e-3
