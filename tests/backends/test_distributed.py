"""Several processes and devices on the JAX backend train as one process does, and a dead process ends all of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_archs.training.tuning.distributed import TRY_AGAIN
from tests.support.tuning import paint_shades

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX trains on several devices")

SECONDS = 120
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shades") / "images"
    paint_shades(folder)
    return folder


@pytest.fixture
def start(images: Path) -> Iterator[Start]:
    """Starts a process of a training, on a number of devices; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, devices: int = 1) -> subprocess.Popen[str]:
        flags = f"--xla_force_host_platform_device_count={devices}"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.team_training", images, *map(str, arguments)],
            env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def pair(start: Start, folder: Path, *first: object, second: tuple[object, ...] = ()) -> list[subprocess.Popen[str]]:
    """Start two processes, which write their results as 0.json and 1.json."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shared = ("--coordinator", f"127.0.0.1:{port}", "--processes", 2)
    return [
        start(*shared, "--process", number, "--result", folder / f"{number}.json", *more)
        for number, more in enumerate((first, second))
    ]


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=SECONDS)
    return process.returncode, errors


def result(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def alone(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of one process with one device."""
    path = tmp_path_factory.mktemp("alone") / "result.json"
    subprocess.run(
        [sys.executable, "-m", "tests.support.team_training", images, "--result", path],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
        timeout=SECONDS,
    )
    return result(path)


def test_two_processes_have_the_losses_of_one(start: Start, alone: dict[str, Any], tmp_path: Path) -> None:
    codes = [finish(process) for process in pair(start, tmp_path)]
    assert [code for code, _ in codes] == [0, 0], codes
    first, second = (result(tmp_path / f"{number}.json") for number in (0, 1))
    assert first["devices"] == 2
    assert first["losses"] == pytest.approx(alone["losses"], abs=1e-3)
    assert second["losses"] == pytest.approx(first["losses"], abs=1e-6)
    assert first["answers"] == second["answers"]
    for ours, theirs in zip(first["history"], alone["history"], strict=True):
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], abs=1e-3)


def test_two_devices_of_one_process_have_the_losses_of_one(start: Start, alone: dict[str, Any], tmp_path: Path) -> None:
    code, errors = finish(start("--result", tmp_path / "result.json", devices=2))
    assert code == 0, errors
    both = result(tmp_path / "result.json")
    assert both["devices"] == 2
    assert both["losses"] == pytest.approx(alone["losses"], abs=1e-3)


def test_a_dead_process_ends_the_other_and_both_go_on_from_the_last_checkpoint(
    start: Start, alone: dict[str, Any], tmp_path: Path
) -> None:
    checkpoints = ("--checkpoints", tmp_path / "checkpoints")
    first, second = pair(start, tmp_path, *checkpoints, second=(*checkpoints, "--fatal", 6, "SIGKILL"))
    assert finish(second)[0] == -9
    code, errors = finish(first)
    assert code == TRY_AGAIN
    assert "error: process 1 of the processes 0 to 1 is gone, so this process ends, too." in errors
    assert not (tmp_path / "0.json").exists()

    again = pair(start, tmp_path, *checkpoints, second=checkpoints)
    codes = [finish(process) for process in again]
    assert [code for code, _ in codes] == [0, 0], codes
    resumed = result(tmp_path / "0.json")
    assert len(resumed["losses"]) < len(alone["losses"])
    last, undisturbed = (each["history"][-1]["validation_loss"] for each in (resumed, alone))
    assert last == pytest.approx(undisturbed, abs=1e-3)


def test_an_error_of_one_process_is_told_to_the_other(start: Start, tmp_path: Path) -> None:
    first, second = pair(start, tmp_path, second=("--raise-at", 3))
    code, errors = finish(second)
    assert code == 1
    assert "OSError: no space left on device" in errors
    code, errors = finish(first)
    assert code == TRY_AGAIN
    assert "process 1 has ended: no space left on device" in errors


def test_a_coordinator_that_is_away_is_an_error_in_bounded_time(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"127.0.0.1:{port}"
    late = start(
        "--coordinator", address, "--processes", 2, "--process", 1, "--wait", 1, "--result", tmp_path / "1.json"
    )
    code, errors = finish(late)
    assert code == 1
    assert f"process 0 was not reached at {address} within 1 s" in errors
