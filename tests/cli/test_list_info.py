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


def test_info_shows_the_call_that_builds_the_network(capsys: Captured) -> None:
    assert run(["info", "mobilenet-0.25-128"]) == 0
    assert f"keras_archs.MobileNet(alpha=0.25, rho={128 / 224})\n" in capsys.readouterr().out
    assert run(["info", "mobilenet-v3-small-minimalistic", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arguments"] == {"minimalistic": True}
