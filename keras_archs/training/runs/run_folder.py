"""The folder of a run: its name, its files, and the lock that keeps two processes apart.

    runs/flowers-1/
        config.yaml           everything that is needed to train the same again
        state.json            how far the run has come
        metrics.csv           a line per epoch
        tensorboard/          the same for TensorBoard, if it is installed
        checkpoint/           what the training needs to go on
        best.keras            the network with the best weights
        predictions.csv       a line per validation image: the answer of the published version
        predictions-test.csv  the same for test images
        report.html           the page

A run goes on with its folder and its images; no other process keeps anything of it.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from keras_archs.repository.folders import locked
from keras_archs.training.data.dataset import Split
from keras_archs.training.runs.config import RunConfig, read_config
from keras_archs.training.runs.state import RunState, read_state, write_state

_PREDICTIONS: Final[dict[Split, str]] = {"validation": "predictions.csv", "test": "predictions-test.csv"}


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    @classmethod
    def create(cls, runs: Path, config: RunConfig) -> Self:
        """Create the folder of a new run, with the next free number.

        Two processes that do so at once get two folders.

        Args:
            runs: Folder of all runs, created if needed.
            config: Configuration of the run.
        """
        runs.mkdir(parents=True, exist_ok=True)
        number = max(_numbers(runs, config.name), default=0) + 1
        while True:
            folder = cls(runs / f"{config.name}-{number}")
            try:
                folder.path.mkdir()
            except FileExistsError:  # another process was faster
                number += 1
                continue
            folder.write_state(RunState())
            config.write(folder.config_file)  # last: a folder with a configuration is a run that can go on
            return folder

    @classmethod
    def existing(cls, path: Path) -> Self:
        """Return the folder of a run that goes on.

        Raises:
            ValueError: The folder is no run.
        """
        folder = cls(path)
        if not folder.config_file.is_file():
            raise ValueError(f"{path} is no folder of a run: it has no {folder.config_file.name}")
        return folder

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes out while the `with` block runs; the lock ends with the process, however it ends.

        Raises:
            ValueError: Another process has the folder.
        """
        return locked(self.path, "trains")

    @property
    def name(self) -> str:
        """Name of the run, e.g. "flowers-1"."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """File of the configuration."""
        return self.path / "config.yaml"

    @property
    def config(self) -> RunConfig:
        """The configuration, read from its file."""
        return read_config(self.config_file)

    @property
    def state(self) -> RunState:
        """How far the run has come, read from its file."""
        return read_state(self.path / "state.json")

    def write_state(self, state: RunState) -> None:
        """Replace how far the run has come."""
        write_state(self.path / "state.json", state)

    def update(self, **changes: Any) -> None:
        """Change fields of how far the run has come."""
        self.write_state(RunState.model_validate(self.state.model_dump() | changes))

    @property
    def best(self) -> Path:
        """File of the network with the best weights."""
        return self.path / "best.keras"

    @property
    def metrics(self) -> Path:
        """File with a line per epoch."""
        return self.path / "metrics.csv"

    @property
    def checkpoints(self) -> Path:
        """Folder of what the training needs to go on."""
        return self.path / "checkpoint"

    @property
    def events(self) -> Path:
        """Folder of TensorBoard's events."""
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        """File of the page."""
        return self.path / "report.html"

    def predictions(self, split: Split) -> Path:
        """Return the file with a line per image of a division."""
        return self.path / _PREDICTIONS[split]


def _numbers(runs: Path, name: str) -> list[int]:
    pattern = re.compile(rf"{re.escape(name)}-([0-9]{{1,9}})")
    return [int(match[1]) for entry in runs.iterdir() if (match := pattern.fullmatch(entry.name))]
