"""How far a run has come: what a run that goes on must not do again."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from keras_archs.training.tuning.checkpoints import replacing

Status = Literal["running", "interrupted", "failed", "finished"]


class RunState(BaseModel):
    """How far a run has come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(default_factory=lambda: secrets.token_hex(4))
    """Name of the run in the card of the version that it publishes, by which the version is found again."""
    status: Status = "running"
    """Also "running" if the process was killed."""
    trained: bool = False
    """Whether training has ended, so that `best.keras` has the weights to publish."""
    stopped: str | None = None
    """Why training ended before its last epoch; None if it did not."""
    unreadable: dict[str, str] = {}
    """Why an image could not be read in training, by its path."""


def read_state(path: Path) -> RunState:
    """Read the state of a run.

    Raises:
        ValueError: The file is no state of a run.
        OSError: The file cannot be read.
    """
    try:
        return RunState.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged, so that the run cannot go on: begin a new run with --config") from error


def write_state(path: Path, state: RunState) -> None:
    """Write the state of a run, whole at every moment."""
    with replacing(path) as incoming:
        incoming.write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")
