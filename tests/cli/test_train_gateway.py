"""From a folder of photographs to an endpoint: a gateway that runs already answers what `keras-archs train` prints."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keras_archs.cli.app import run
from keras_archs.repository.artifact import read_card
from tests.support.command_line import Captured
from tests.support.flowers import QUICK, paint_flowers
from tests.support.gateway import Gateway, running_gateway


def test_a_running_gateway_serves_the_next_version_with_the_new_classes(
    capsys: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    constant_classifier: Callable[[Path, int], Path],
) -> None:
    monkeypatch.setenv("KERAS_ARCHS_POLL_SECONDS", "0.1")
    monkeypatch.chdir(tmp_path)
    paint_flowers(Path("my flowers"))
    constant_classifier(Path("models"), 1)  # the model "tiny" with the classes zero, one and two
    with running_gateway(Path("models"), tmp_path / "log") as gateway:
        assert {entry["label"] for entry in answer(gateway)["images"][0]} == {"zero", "one", "two"}
        assert run(["train", "my flowers", "--name", "tiny", *QUICK, "--epochs", "1", "--batch", "8"]) == 0
        output = capsys.readouterr()
        assert output.out.startswith("tiny version 2 published: models/tiny/2\n")
        (command,) = re.findall(r"^ +try +(curl .*)$", output.out, re.MULTILINE)
        wait_for_version(gateway, 2)
        asked = subprocess.run(
            command.replace(":8000/", f":{gateway.port}/"), shell=True, capture_output=True, text=True, check=True
        )
        assert '"tulip"' in asked.stdout and '"rose"' in asked.stdout
    card = read_card(Path("models/tiny/2"))
    assert card.weights.trained
    assert re.fullmatch(
        r"12 images of tiny \(2 classes\); from scratch: resnet-20; run tiny-1 \([0-9a-f]{8}\)", card.weights.source
    )
    assert {"config.yaml", "metrics.csv", "best.keras", "predictions.csv", "report.html", "tensorboard"} <= {
        entry.name for entry in Path("runs/tiny-1").iterdir()
    }


def answer(gateway: Gateway) -> dict[str, Any]:
    picture = next(Path("my flowers").rglob("*.png"))
    headers = {"Content-Type": "image/png"}
    response = gateway.client.post("/classify/tiny", content=picture.read_bytes(), headers=headers)
    document: dict[str, Any] = response.raise_for_status().json()
    return document


def wait_for_version(gateway: Gateway, version: int) -> None:
    deadline = time.monotonic() + 60
    while answer(gateway)["version"] != version:
        assert time.monotonic() < deadline, gateway.logged()
        time.sleep(0.05)
