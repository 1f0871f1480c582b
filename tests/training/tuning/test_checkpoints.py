"""A checkpoint is whole or not there, and is that of the training that goes on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from keras_archs.training.tuning.checkpoints import Checkpoint, CheckpointError, Checkpoints, Course, replacing
from keras_archs.training.tuning.history import EpochMetrics

IDENTITY = {"recipe": "slow", "images": "all", "seed": "0"}
EPOCH = EpochMetrics(1, 3, 2.5, 0.1, 1.5, 0.4, 1.25, 0.5)


def checkpoint(step: int) -> Checkpoint:
    course = Course(step=step, progress=1 / 3, seconds=9.5, loss=2.0, accuracy=1.0, best_loss=1.25, history=[EPOCH])
    weights = [np.array([[1, math.pi], [3, step]], np.float32), np.array([7])]
    return Checkpoint(course, weights, [np.array([0.1], np.float32)], weights[:1])


def saved(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder, IDENTITY)
    for step in steps:
        checkpoints.save(checkpoint(step))
    return checkpoints


def same(first: Checkpoint | None, second: Checkpoint) -> bool:
    if first is None or first.course != second.course:
        return False
    pairs = [(first.model, second.model), (first.optimizer, second.optimizer), (first.best, second.best)]
    return all(x.dtype == y.dtype and np.array_equal(x, y) for a, b in pairs for x, y in zip(a, b, strict=True))


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    assert same(saved(tmp_path, 3).load(), checkpoint(3))


def test_a_folder_without_checkpoints_begins_anew(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "new", IDENTITY).load() is None


def test_the_newest_checkpoint_counts_and_only_the_one_before_is_kept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 8, 9, 10, 100)
    assert same(checkpoints.load(), checkpoint(100))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000010.npz", "step-000000100.npz"]


@pytest.mark.parametrize("damage", ["empty", "torn", "changed"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(tmp_path: Path, damage: str) -> None:
    checkpoints = saved(tmp_path, 1, 2)
    newest = tmp_path / "step-000000002.npz"
    content = bytearray(newest.read_bytes())
    if damage == "changed":
        content[content.index(np.float32(math.pi).tobytes())] ^= 1
    contents: dict[str, bytes] = {"empty": b"", "torn": bytes(content[:-200]), "changed": bytes(content)}
    newest.write_bytes(contents[damage])
    assert same(checkpoints.load(), checkpoint(1))


def test_if_no_checkpoint_can_be_read_the_error_says_how_to_begin_anew(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1)
    (tmp_path / "step-000000001.npz").write_bytes(b"PK")
    with pytest.raises(
        CheckpointError, match=r"none of the 1 checkpoints in .* can be read: remove them to begin anew"
    ):
        checkpoints.load()


def test_the_checkpoints_of_another_training_are_refused_by_what_differs(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    with pytest.raises(CheckpointError, match="a training with other recipe and seed: give what they began with"):
        Checkpoints(tmp_path, IDENTITY | {"recipe": "fast", "seed": "1"}).load()


def test_a_write_that_is_cut_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(OSError, match="full"), replacing(path) as incoming:
        incoming.write_text("af")
        raise OSError("the disk is full")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]
