"""Checkpoints of a training: everything that it takes to go on as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.folders import flush
from keras_archs.training.tuning.history import EpochMetrics

Weights = Sequence[NDArray[Any]]

KEPT: Final = 2
"""Checkpoints in a folder: the newest, and the one before in case that the newest is damaged."""

_STATE: Final = "state"


class CheckpointError(ValueError):
    """The checkpoints in a folder are those of another training, or none of them can be read."""


@dataclass
class Course:
    """State of a training beside the variables of network and optimizer."""

    step: int = 0
    """Number of finished steps."""
    progress: float = 0.0
    """Share of the schedule that is done, 0 to 1."""
    seconds: float = 0.0
    """Time of the training so far, earlier processes included."""
    loss: float = 0.0
    """Sum of the losses of the unfinished epoch's steps."""
    accuracy: float = 0.0
    """Sum of the accuracies of the unfinished epoch's steps."""
    best_loss: float | None = None
    """Least validation loss; None before the first validation."""
    history: list[EpochMetrics] = field(default_factory=list)
    """Numbers of the finished epochs."""


@dataclass(frozen=True)
class Checkpoint:
    """A training at a step."""

    course: Course
    model: Weights
    """All variables of the network, seeds of dropout and of stochastic depth included."""
    optimizer: Weights
    """All variables of the optimizer: rate, number of steps, momenta, averages of the weights."""
    best: Weights
    """Weights of the least validation loss; empty before the first validation."""


class Checkpoints:
    """Writes and finds the checkpoints of a training in a folder, a file per checkpoint.

    A file is written beside, flushed and renamed, so that a process that is killed at any moment leaves a checkpoint
    that can be read.

    Args:
        folder: The folder; it is made if there is none. Nobody but this training may write there.
        identity: What has to be the same in a training that goes on, by name, e.g. the recipe.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        self._folder = folder
        self._identity = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in identity.items()}
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, and remove those that are no longer needed."""
        state = {"identity": self._identity, "course": asdict(checkpoint.course)}
        arrays: dict[str, NDArray[Any]] = {_STATE: np.frombuffer(json.dumps(state).encode(), np.uint8)}
        for group in ("model", "optimizer", "best"):
            arrays |= {f"{group}/{number}": array for number, array in enumerate(getattr(checkpoint, group))}
        path = self._folder / f"step-{checkpoint.course.step:09}.npz"
        with replacing(path) as incoming, incoming.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's types take the names for its option
        for old in self._found()[KEPT:]:
            old.unlink()

    def load(self) -> Checkpoint | None:
        """Return the newest checkpoint that can be read; None if the folder has none.

        Raises:
            CheckpointError: The checkpoint is that of another training, or there are checkpoints but none can be read.
        """
        found = self._found()
        for path in found:
            try:
                state, checkpoint = _read(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                continue  # damaged
            self._check(state["identity"])
            return checkpoint
        if found:
            raise CheckpointError(
                f"none of the {len(found)} checkpoints in {self._folder} can be read: remove them to begin anew"
            )
        return None

    def _found(self) -> list[Path]:
        """Return the files of the checkpoints, newest first."""
        return sorted(self._folder.glob("step-*.npz"), reverse=True)

    def _check(self, identity: Mapping[str, str]) -> None:
        changed = [name for name, digest in self._identity.items() if identity.get(name) != digest]
        if changed:
            raise CheckpointError(
                f"the checkpoints in {self._folder} are those of a training with other {' and '.join(changed)}: give "
                "what they began with, or another folder"
            )


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, which at the end is flushed to disk and takes the place of the wanted path."""
    incoming = path.with_name(f".incoming-{path.name}")
    try:
        yield incoming
        flush(incoming)
        incoming.replace(path)
    finally:
        incoming.unlink(missing_ok=True)
    flush(path.parent)


def _read(path: Path) -> tuple[dict[str, Any], Checkpoint]:
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        state = json.loads(file[_STATE].tobytes())
        groups: dict[str, list[NDArray[Any]]] = {}
        for group in ("model", "optimizer", "best"):
            count = sum(name.startswith(f"{group}/") for name in file.files)
            groups[group] = [file[f"{group}/{number}"] for number in range(count)]
    course = Course(**state["course"])
    course.history = [EpochMetrics(**metrics) for metrics in state["course"]["history"]]
    return state, Checkpoint(course, **groups)
