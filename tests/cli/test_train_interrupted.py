"""A training that is killed, or ended by Ctrl-C, at any moment: it goes on, and its version is published once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_archs.repository import artifact
from keras_archs.training.runs.metrics_file import read_metrics
from keras_archs.training.runs.run_folder import RunFolder
from tests.support.command_line import command
from tests.support.flowers import QUICK, paint_flowers

RUN = Path("runs/flowers-1")
EPOCHS = 12
TRAIN = ("train", "photos", "--name", "flowers", *QUICK, "--epochs", str(EPOCHS), "--batch", "4")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paint_flowers(Path("photos"))


def end(arguments: tuple[str, ...], moment: Callable[[], bool], with_signal: signal.Signals) -> tuple[int, str]:
    """Run a command, send it a signal at a moment, and return its exit status and what it wrote as errors."""
    script = "from keras_archs.cli import main; main()"
    start = ["env", "--default-signal=INT", sys.executable, "-c", script, *arguments]
    with subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not moment() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(with_signal)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def epochs() -> int:
    return len(read_metrics(RUN / "metrics.csv"))


def versions() -> list[int]:
    return artifact.published_versions(Path("models/flowers"))


def test_a_run_that_is_killed_at_every_stage_ends_like_one_that_is_not(tmp_path: Path) -> None:
    moments: dict[str, Callable[[], bool]] = {
        "the run begins": (RUN / "config.yaml").exists,
        "the second epoch has ended": lambda: epochs() >= 2,
        "the sixth epoch has ended": lambda: epochs() >= 6,
        "the weights are written": (RUN / "best.keras").exists,
        "a version is written": lambda: any(Path("models/flowers").glob(".incoming-*/saved_model.pb")),
        "the version is there": lambda: versions() == [1],
        "answers are written": (RUN / "predictions.csv").exists,
    }
    arguments: tuple[str, ...] = TRAIN
    for name, moment in moments.items():
        status, errors = end(arguments, moment, signal.SIGKILL)
        assert (status, RunFolder(RUN).state.status) == (-signal.SIGKILL, "running"), (name, errors)
        assert versions() in ([], [1])
        arguments = ("train", "--resume", str(RUN))
    assert command(*arguments).returncode == 0
    assert versions() == [1]
    assert RunFolder(RUN).state.status == "finished"
    assert (RUN / "report.html").exists()
    assert [metrics.epoch for metrics in read_metrics(RUN / "metrics.csv")] == list(range(1, EPOCHS + 1))

    assert command(*TRAIN, "--no-publish", "--no-report").returncode == 0
    undisturbed = read_metrics(Path("runs/flowers-2/metrics.csv"))
    assert read_metrics(RUN / "metrics.csv")[-1].validation_loss == pytest.approx(
        undisturbed[-1].validation_loss, abs=1e-3
    )


def test_ctrl_c_says_how_to_go_on_and_how_to_publish_the_best_so_far() -> None:
    arguments = (*TRAIN, "--epochs", "500")
    status, errors = end(arguments, lambda: epochs() >= 2, signal.SIGINT)
    assert status == 130
    assert errors.splitlines()[-2:] == [
        "interrupted; go on with: keras-archs train --resume runs/flowers-1",
        "or publish the best weights so far with: keras-archs train --finish runs/flowers-1",
    ]
    assert RunFolder(RUN).state.status == "interrupted"
    assert versions() == []
    trained = epochs()
    finished = command("train", "--finish", str(RUN))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("flowers version 1 published: models/flowers/1\n")
    assert (epochs(), versions()) == (trained, [1])
    assert "interrupted" in (RUN / "report.html").read_text(encoding="utf-8")
