"""Training on the JAX and Torch backends: the loss falls, and a training that was killed goes on exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_archs.training.tuning.fine_tune import FineTuned, fine_tune
from keras_archs.training.tuning.recipe import Recipe
from tests.support.tuning import PREPROCESSING, RECIPE, paint_shades, shades_network

ADAMW = replace(RECIPE, optimizer="adamw", learning_rate=0.02, ema=0.5, weight_decay=0.01, clip_norm=1.0)


class Killed(BaseException):
    """Ends a training as abruptly as one process can end its own."""


@pytest.mark.parametrize("recipe", [RECIPE, ADAMW], ids=["sgd", "adamw with an average"])
def test_the_loss_falls_and_a_killed_training_gives_the_numbers_of_an_undisturbed_one(
    tmp_path: Path, recipe: Recipe
) -> None:
    data = paint_shades(tmp_path / "images")

    def tune(checkpoints: Path | None, killed_after: int = 0) -> FineTuned:
        def kill(step: int, steps: int) -> None:
            if step == killed_after:
                raise Killed

        return fine_tune(
            data, shades_network(), recipe=recipe, preprocessing=PREPROCESSING, checkpoints=checkpoints, on_step=kill
        )

    with pytest.raises(Killed):
        tune(tmp_path / "checkpoints", killed_after=6)
    resumed, undisturbed = tune(tmp_path / "checkpoints"), tune(None)
    first, *_, last = undisturbed.history
    assert last.validation_loss < 0.9 * first.validation_loss
    losses = [[metrics.validation_loss for metrics in result.history] for result in (resumed, undisturbed)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    weights = zip(resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in weights)
