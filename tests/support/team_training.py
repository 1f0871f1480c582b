"""A process of a training with several processes or devices: `python -m tests.support.team_training FOLDER ...`."""

from __future__ import annotations

import argparse
import json
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_archs.training.data.dataset import Dataset
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.tuning import loop
from keras_archs.training.tuning.distributed import Distribution, distributed
from keras_archs.training.tuning.fine_tune import fine_tune
from tests.support.tuning import CLASSES, PREPROCESSING, RECIPE, shades_network

RECIPE_OF_A_TEAM = replace(RECIPE, epochs=3, label_smoothing=0.1, ema=0.5)


class Losses(keras.callbacks.Callback):
    """Keeps the loss of each step, and sends this process a signal before a step."""

    def __init__(self, fatal: tuple[int, int] | None) -> None:
        super().__init__()
        self.losses: list[float] = []
        self._fatal = fatal
        self._steps = 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Send the signal."""
        self._steps += 1
        if self._fatal and self._steps == self._fatal[0]:
            os.kill(os.getpid(), self._fatal[1])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the loss."""
        self.losses.append((logs or {})["loss"])


def painted(folder: Path, train: int = 32, validation: int = 12) -> Dataset:
    """Return the data set that `paint_shades` wrote."""

    def images(name: str, count: int) -> LabelledImages:
        paths = [f"{name}{number}.png" for number in range(count)]
        return LabelledImages(folder, paths, np.arange(count, dtype=np.int32) % len(CLASSES))

    return Dataset(str(folder), CLASSES, images("train", train), images("validation", validation))


def main() -> None:
    """Train `shades_network` as a process of several, and write losses, weights and what ended the training."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--wait", type=float, default=60.0)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--fatal", nargs=2, metavar=("STEP", "SIGNAL"), help="signal of this process before a step")
    parser.add_argument("--raise-at", type=int)
    arguments = parser.parse_args()
    loop.CHECKPOINT_SECONDS = -1.0  # type: ignore[misc]  # after each step
    fatal = (int(arguments.fatal[0]), signal.Signals[arguments.fatal[1]]) if arguments.fatal else None
    losses = Losses(fatal)

    def on_step(step: int, steps: int) -> None:
        if step == arguments.raise_at:
            raise OSError("no space left on device")

    with distributed(
        Distribution(arguments.coordinator, arguments.processes, arguments.process), wait=arguments.wait
    ) as team:
        tuned = fine_tune(
            painted(arguments.folder),
            shades_network(seed=team.process),
            recipe=RECIPE_OF_A_TEAM,
            preprocessing=PREPROCESSING,
            checkpoints=arguments.checkpoints,
            callbacks=[losses],
            on_step=on_step,
            team=team,
        )
    answers = tuned.model.predict(np.ones((2, 8, 8, 3), np.float32), verbose=0)  # by this process alone
    result = {
        "devices": team.devices,
        "losses": losses.losses,
        "history": [asdict(metrics) for metrics in tuned.history],
        "stopped": tuned.stopped,
        "answers": answers.tolist(),
    }
    arguments.result.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
