"""`keras-archs compare`."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure


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
