"""`keras-archs weights list`."""

from __future__ import annotations

import json
import re

from keras_archs.cli.app import run
from keras_archs.registry import list_weights
from tests.support.command_line import Captured, failure


def test_every_published_weights_are_listed(capsys: Captured) -> None:
    assert run(["weights", "list"]) == 0
    headings, *lines = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", headings) == [
        "model",
        "weights",
        "default",
        "top-1",
        "top-5",
        "input",
        "licence",
        "source",
    ]
    assert [line.split()[:2] for line in lines] == [[entry.network, entry.tag] for entry in list_weights()]


def test_a_line_shows_the_accuracy_the_licence_and_the_source(capsys: Captured) -> None:
    assert run(["weights", "list", "resnet-34"]) == 0
    lines = {line.split()[1]: re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()}
    url = "https://download.pytorch.org/models/resnet34-b627a593.pth"
    assert lines["torchvision/IMAGENET1K_V1"][2:] == ["*", "73.3 %", "91.4 %", "224x224", "BSD-3-Clause", url]
    hub = "https://huggingface.co/timm/resnet34.a3_in1k"
    assert lines["timm/a3_in1k"][2:] == ["70.6 %", "89.5 %", "160x160", "Apache-2.0", hub]


def test_weights_that_are_not_for_commercial_use_are_marked(capsys: Captured) -> None:
    assert run(["weights", "list", "resnet-18"]) == 0
    marked = [line.split()[1] for line in capsys.readouterr().out.splitlines() if "NOT FOR COMMERCIAL USE" in line]
    assert marked == ["timm/fb_ssl_yfcc100m_ft_in1k", "timm/fb_swsl_ig1b_ft_in1k"]


def test_the_json_document_has_everything_that_belongs_to_the_weights(capsys: Captured) -> None:
    assert run(["weights", "list", "se-resnet-152", "--json"]) == 0
    default, legacy = json.loads(capsys.readouterr().out)
    assert default["weights"] == "pytorchcv/seresnet152"
    assert (default["default"], legacy["default"]) == (True, False)
    assert default["arguments"] == {"stride_in_1x1": True}
    assert default["top1"] == {"value": 81.28, "source": "osmr/pytorchcv, README.md"}
    assert default["preprocessing"]["crop_fraction"] == 0.875
    assert default["commercial_use"]
    (file,) = default["files"]
    assert file["format"] == "zipped-torch"
    assert file["checksum"] == {
        "algorithm": "sha1",
        "value": "7a6b02ac25caccb0420eea542c625f9b0bfb3e03",
        "of": "content",
    }


def test_a_network_without_published_weights_says_so(capsys: Captured) -> None:
    assert run(["weights", "list", "densenet-264"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "densenet-264 has no weights: nobody is known to have published any that fit\n"
    assert run(["weights", "list", "densenet-264", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_pattern_without_models_is_refused(capsys: Captured) -> None:
    assert "no model matches 'alexnet'" in failure(capsys, ["weights", "list", "alexnet"])
