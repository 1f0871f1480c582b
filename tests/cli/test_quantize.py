"""`keras-archs quantize`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keras_archs.cli import quantize
from keras_archs.cli.app import run
from keras_archs.quantization import candidate
from keras_archs.repository import artifact
from keras_archs.repository.quantization import Agreement
from tests.support.command_line import Captured, failure
from tests.support.quantizable import paint_colours, publish_colours


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantize") / "models"
    publish_colours(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint_colours(tmp_path_factory.mktemp("pictures"), 200, seed=0)


def test_a_loss_beyond_the_allowed_drop_is_published_only_on_demand(
    capsys: Captured, repository: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lossy(expected: object, received: object, *, multi_label: bool) -> Agreement:
        return Agreement(pictures=100, top1=0.97, largest_difference=0.5, mean_difference=0.1)

    monkeypatch.setattr(candidate, "agreement", lossy)
    arguments = ["quantize", "colours", "--repository", str(repository), "--calibration", str(pictures)]
    message = failure(capsys, arguments)
    assert "3.00 % of 100 pictures with another class than float32" in message
    assert "Nothing was published: give --labels to measure it" in message and "--allow-drop" in message
    assert artifact.published_versions(repository / "colours") == [1]
    assert [path.name for path in (repository / "colours").iterdir()] == ["1"]
    assert run([*arguments, "--allow-drop", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["version"], document["served"]) == (2, True)
    assert document["quantization"]["agreement"]["top1"] == 0.97
    assert run(["repo", "show", "colours", "--repository", str(repository)]) == 0
    shown = capsys.readouterr().out
    assert "agreement      97.00 % same top class as float32, on 100 pictures" in shown
    assert "accuracy       not measured: no labelled pictures were given" in shown


def test_what_is_missing_is_said_before_anything_is_computed(
    capsys: Captured, repository: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["quantize", "colours", "--repository", str(repository), "--calibration"]
    assert "needed are 200" in failure(capsys, [*arguments, str(pictures / "red")])
    assert "needed are 400" in failure(capsys, [*arguments, str(pictures), "--labels", str(pictures)])
    assert "give --labels as well" in failure(capsys, [*arguments, str(pictures), "--names", "label"])
    assert "no model 'other' is published" in failure(capsys, ["quantize", "other", *arguments[2:], str(pictures)])
    monkeypatch.setattr(quantize, "find_spec", lambda library: None)
    assert "pip install 'keras-archs[quantize]'" in failure(capsys, [*arguments, str(pictures)])
