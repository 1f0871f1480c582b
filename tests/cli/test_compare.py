"""`keras-archs compare`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from keras_archs.analysis import latency
from keras_archs.cli.app import run
from keras_archs.images.labels import Label
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository import artifact
from keras_archs.repository.artifact_card import ArtifactCard, Weights
from keras_archs.repository.quantization import Agreement, Calibration, Quantization
from tests.support.command_line import Captured, failure

CARD = ArtifactCard(
    name="mobilenet-0.25-128",
    preprocessing=Preprocessing(size=(128, 128), mean=(127.5,) * 3, std=(127.5,) * 3),
    labels=(Label("one", None), Label("two", None)),
    weights=Weights(trained=True, source="a test"),
    architecture=None,
    created="2026-11-29T00:00:00+00:00",
    producer={"keras-archs": "0.1.0"},
    checksums={"saved_model.pb": "0" * 64},
)
QUANTIZATION = Quantization(
    source_version=1,
    layers=28,
    int8_layers=26,
    calibration=Calibration(300, "0" * 64),
    agreement=Agreement(400, 0.91, 0.5, 0.05),
    accuracy=None,
)


def test_compare_draws_accuracy_against_cost(capsys: Captured, tmp_path: Path) -> None:
    names = ["efficientnet-b0", "resnet-50", "se-resnet-34"]
    assert run(["compare", *names, "--plot", str(tmp_path / "picture.PNG")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["efficientnet-b0", "224x224", "5,330,564", "385,814,752", "77.1"],
        ["resnet-50", "224x224", "25,610,152", "4,089,184,256", "76.13"],
        ["se-resnet-34", "224x224", "21,975,892", "3,663,918,592"],
    ]
    with Image.open(tmp_path / "picture.PNG") as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 50
    assert ".png, .svg, .pdf, .html; got 'picture.jpg'" in failure(capsys, ["compare", *names, "--plot", "picture.jpg"])
    assert "no accuracy was published" in failure(capsys, ["compare", names[-1], "--plot", str(tmp_path / "a.svg")])
    assert not (tmp_path / "a.svg").exists()


def test_compare_measures_time(capsys: Captured) -> None:
    assert run(["compare", "mobilenet-0.25-128", "--latency", "openvino", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ms"] > 0
    assert "openvino, tensorflow, keras; got 'abacus'" in failure(
        capsys, ["compare", "resnet-18", "--latency", "abacus"]
    )


def test_compare_shows_the_newest_int8_version(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, quantization in ((1, None), (2, QUANTIZATION), (3, QUANTIZATION), (4, None)):
        folder = tmp_path / "mobilenet-0.25-128" / str(version)
        (folder / artifact.CARD).parent.mkdir(parents=True)
        (folder / artifact.SAVED_MODEL).write_bytes(b"")
        artifact.write_card(folder, replace(CARD, quantization=quantization))
    monkeypatch.setattr(latency, "measure_version", lambda path, card: measured(0.25))
    monkeypatch.setattr(latency, "measure_latency", lambda model, engine: measured(0.5))
    command = ["compare", "mobilenet-0.25-128", "--repository", str(tmp_path), "--latency", "openvino"]
    assert run(command) == 0
    captured = capsys.readouterr()
    assert [line.split() for line in captured.out.splitlines()[1:]] == [
        ["mobilenet-0.25-128", "128x128", "475,544", "13,570,048", "41.5", "0.5"],
        ["mobilenet-0.25-128", "version", "3", "(int8)", "128x128", "475,544", "13,570,048", "0.25"],
    ]
    assert "version 3 (int8): 91.00 % same top class as float32, on 400 pictures" in captured.err
    assert "give --latency openvino as well" in failure(capsys, command[:4])
    assert "has no int8 version of resnet-18" in failure(capsys, ["compare", "resnet-18", *command[2:]])


def measured(median: float) -> latency.Latency:
    return latency.Latency("openvino", 1, median, median, median, median, None)
