"""`keras-archs profile`."""

from __future__ import annotations

import json

from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure


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


def test_profile_takes_another_image_size(capsys: Captured) -> None:
    assert run(["profile", "mobilenet-0.25-128", "--size", "224", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 41_030_272
    assert "at least 32" in failure(capsys, ["profile", "mobilenet-0.25-128", "--size", "16"])
