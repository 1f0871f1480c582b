"""`keras-archs scale` and `keras-archs coefficients`."""

from __future__ import annotations

import json

from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure


def test_scale_compares_real_growth_with_powers_of_two(capsys: Captured) -> None:
    assert run(["scale", "efficientnet-b0", "--phi", "0..1", "--json"]) == 0
    baseline, scaled = json.loads(capsys.readouterr().out)
    assert (baseline["macs"], baseline["growth"], baseline["ratio"]) == (385_814_752, 1, 1)
    assert (scaled["input"], scaled["growth"], scaled["2^phi"]) == ("258x258", 2.573, 2)
    assert run(["scale", "--phi", "0,0.5,1", "--max-macs", "8e8"]) == 0
    _, only = capsys.readouterr().out.splitlines()
    assert only.split()[0] == "0.5"


def test_scale_refuses_invalid_arguments_and_impossible_budgets(capsys: Captured) -> None:
    assert "'resnet-18' is not a baseline of compound scaling; baselines: densenet-121, efficientnet-b0" in failure(
        capsys, ["scale", "resnet-18"]
    )
    assert "0..7 or numbers such as 0,0.5,1; got 'many'" in failure(capsys, ["scale", "--phi", "many"])
    assert "phi must be at least 0" in failure(capsys, ["scale", "--phi=-1"])
    assert "the nearest is phi=0, which needs 385,814,752" in failure(
        capsys, ["scale", "--phi", "0", "--max-macs", "1e6"]
    )


def test_coefficients_are_selected_by_real_counts(capsys: Captured) -> None:
    assert run(["coefficients", "mobilenet-1.0-224", "--grid", "1,1.4", "--tolerance", "0.1"]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [["1.0", "1.0", "1.4"], ["1.0", "1.4", "1.0"]]
    assert last == "2 of 8 points grow 2 times within 10%"
    assert "--grid takes numbers such as 1,1.1,1.2; got 'all'" in failure(capsys, ["coefficients", "--grid", "all"])
    assert "no coefficients grow 9 times within 5%; the nearest is" in failure(
        capsys, ["coefficients", "mobilenet-1.0-224", "--grid", "1", "--target", "9"]
    )
