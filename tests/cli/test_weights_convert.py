"""`keras-archs weights convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cli.app import run
from tests.support.command_line import Captured, failure
from tests.support.networks import FIXTURES, calibrated, photographs
from tests.support.source_files import tensors_of, write_h5, write_safetensors, write_torch

IMAGES = photographs(64, 64)
MOBILENET = FIXTURES / "weights" / "mobilenet_2_5_224_tf.h5"
RESNET20 = FIXTURES / "weights" / "resnet20-12fca82f.th"


def convert(arch: str, checkpoint: Path, output: Path, *options: str) -> list[str]:
    return ["weights", "convert", "--arch", arch, str(checkpoint), str(output), *options]


def converted(captured: Captured, arch: str, checkpoint: Path, folder: Path) -> tuple[keras.Model, dict[str, Any]]:
    """Convert a checkpoint, and build the network as the command says."""
    output = folder / "out.weights.h5"
    assert run(convert(arch, checkpoint, output, "--json")) == 0
    said = json.loads(captured.readouterr().out)
    builder = getattr(keras_archs, said["builder"])
    model = builder(weights=said["path"], **{"input_shape": (64, 64, 3), **said["arguments"]})
    output.unlink()
    return model, said


@pytest.mark.parametrize(
    ("write", "file"), [(write_torch, "model.pth"), (write_safetensors, "model.safetensors")], ids=["torch", "hub"]
)
def test_the_converted_file_gives_the_logits_of_a_state_dict(
    write: Any, file: str, capsys: Captured, tmp_path: Path
) -> None:
    original = calibrated(keras_archs.ResNet20(classes=7, input_shape=(64, 64, 3)))
    checkpoint = write(tmp_path / file, tensors_of(original, "torchvision-resnet"))
    model, said = converted(capsys, "resnet-20", checkpoint, tmp_path)
    assert (said["names"], said["arguments"]) == ("torchvision-resnet", {"classes": 7})
    np.testing.assert_array_equal(model(IMAGES), original(IMAGES))


def test_the_converted_file_gives_the_logits_of_a_network_of_keras_applications(
    capsys: Captured, tmp_path: Path
) -> None:
    original = calibrated(keras_archs.MobileNet(alpha=0.25, classes=7, input_shape=(64, 64, 3)))
    checkpoint = write_h5(tmp_path / "model.h5", tensors_of(original, "keras-mobilenet"))
    model, said = converted(capsys, "mobilenet-0.25-224", checkpoint, tmp_path)
    assert (said["names"], said["arguments"]) == ("keras-mobilenet", {"alpha": 0.25, "classes": 7})
    np.testing.assert_array_equal(model(IMAGES), original(IMAGES))


def test_a_checkpoint_without_classifier(capsys: Captured, tmp_path: Path) -> None:
    body = keras_archs.ResNet20(include_top=False, input_shape=(64, 64, 3))
    checkpoint = write_safetensors(tmp_path / "body.safetensors", tensors_of(body, "pytorchcv-resnet"))
    model, said = converted(capsys, "resnet-20", checkpoint, tmp_path)
    assert said["arguments"] == {"include_top": False}
    assert model.output_shape == body.output_shape


def test_the_source_has_to_be_named_if_several_fit_and_order_channels_differently(
    capsys: Captured, tmp_path: Path
) -> None:
    body = keras_archs.ResNet20(include_top=False, input_shape=(64, 64, 3))
    checkpoint = write_safetensors(tmp_path / "body.safetensors", tensors_of(body, "torchvision-resnet"))
    output = tmp_path / "out.weights.h5"
    said = failure(capsys, convert("resnet-20", checkpoint, output))
    assert "names of torchvision-resnet and of akamaster-resnet, which order channels differently" in said
    assert "give --names torchvision-resnet or --names akamaster-resnet" in said
    assert run(convert("resnet-20", checkpoint, output, "--names", "torchvision-resnet")) == 0
    same = keras_archs.ResNet20(include_top=False, input_shape=(64, 64, 3), weights=output)
    np.testing.assert_array_equal(same(IMAGES), body(IMAGES))
    capsys.readouterr()
    assert "--names must be" in failure(
        capsys, convert("resnet-20", checkpoint, tmp_path / "b.weights.h5", "--names", "x")
    )


def test_networks_whose_tensors_fit_as_well_are_named(capsys: Captured, tmp_path: Path) -> None:
    original = keras_archs.MobileNetV3Small(alpha=0.75, input_shape=(64, 64, 3))
    checkpoint = write_safetensors(tmp_path / "v3.safetensors", tensors_of(original, "timm-mobilenet-v3"))
    assert run(convert("mobilenet-v3-small-0.75", checkpoint, tmp_path / "out.weights.h5")) == 0
    assert "must not be of networks of timm without tf_ in their name" in capsys.readouterr().err


def test_a_model_that_keras_saved(capsys: Captured, tmp_path: Path) -> None:
    theirs = calibrated(keras.applications.MobileNet(alpha=0.25, weights=None, classes=5, input_shape=(64, 64, 3)))
    theirs.save(tmp_path / "theirs.keras")
    model, said = converted(capsys, "mobilenet-0.25-224", tmp_path / "theirs.keras", tmp_path)
    assert (said["names"], said["arguments"]) == ("keras-mobilenet", {"alpha": 0.25, "classes": 5})
    np.testing.assert_allclose(model(IMAGES), theirs(IMAGES), atol=1e-6)


def test_the_output_says_how_to_load_the_file(capsys: Captured, tmp_path: Path) -> None:
    output = tmp_path / "mine.weights.h5"
    assert run(convert("resnet-20", RESNET20, output)) == 0
    said = capsys.readouterr().out
    assert "names of akamaster-resnet" in said
    assert f"keras_archs.ResNet20(weights='{output}', classes=10)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.weights.h5"]
    assert keras_archs.ResNet20(weights=output, classes=10).count_params() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "said"),
    [("cadene-senet", "stem_pooling='caffe'"), ("pytorchcv-resnet", "{'stride_in_1x1': True} or {}")],
)
def test_arguments_that_a_source_needs_are_named(names: str, said: str, capsys: Captured, tmp_path: Path) -> None:
    checkpoint = write_safetensors(tmp_path / "se.safetensors", tensors_of(keras_archs.SEResNet50(), names))
    assert run(convert("se-resnet-50", checkpoint, tmp_path / "out.weights.h5")) == 0
    output = capsys.readouterr()
    assert said in output.out + output.err


def test_a_checkpoint_of_another_network_is_listed_on_both_sides(capsys: Captured, tmp_path: Path) -> None:
    assert run(convert("resnet-32", RESNET20, tmp_path / "out.weights.h5")) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "variables without a tensor:"
    assert "  stage1_block4_conv1/kernel (expects layer1.3.conv1.weight)" in said
    assert said[-1] == (
        f"error: {RESNET20} does not fit resnet-32: with the names of akamaster-resnet, "
        "there are 60 variables without a tensor"
    )
    state = tensors_of(keras_archs.ResNet32(), "akamaster-resnet")
    deeper = write_safetensors(tmp_path / "deeper.safetensors", state | {"extra": np.zeros(3, np.float32)})
    assert run(convert("resnet-20", deeper, tmp_path / "out.weights.h5")) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "tensors without a variable:"
    assert {"  extra", "  layer1.3.conv1.weight"} < set(said)
    assert [path.name for path in tmp_path.iterdir()] == ["deeper.safetensors"]


def test_shapes_that_differ_are_listed(capsys: Captured, tmp_path: Path) -> None:
    wide = tensors_of(keras_archs.WideResNet(depth=16, widen_factor=8), "pytorchcv-wrn")
    checkpoint = write_safetensors(tmp_path / "wide.safetensors", wide)
    assert run(convert("wide-resnet-16-4", checkpoint, tmp_path / "out.weights.h5")) == 2
    said = capsys.readouterr().err
    assert "shapes that differ:\n  stage1_block1_conv1/kernel has (3, 3, 16, 64)" in said


@pytest.mark.parametrize(
    ("arch", "checkpoint", "output", "complaint"),
    [
        ("resnet-21", RESNET20, "out.weights.h5", "did you mean resnet-32 or resnet-20"),
        ("resnet-20", "text.pth", "out.weights.h5", "text.pth"),
        ("resnet-20", MOBILENET, "out.weights.h5", "keras.applications has no network that equals resnet-20"),
        ("resnet-20", "nowhere.pth", "out.weights.h5", "nowhere.pth: file not found"),
        ("resnet-20", "mine.weights.h5", "out.weights.h5", "pass it as weights="),
        ("resnet-20", "text.keras", "out.weights.h5", "damaged, or not a model that Keras saved"),
        ("resnet-20", RESNET20, "out.h5", "must end with .weights.h5"),
        ("resnet-20", RESNET20, "mine.weights.h5", "exists already"),
        ("resnet-20", RESNET20, "nowhere/out.weights.h5", "nowhere is not a folder"),
        ("resnet-20", RESNET20, "text.pth/out.weights.h5", "text.pth is not a folder"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_leaves_nothing(
    arch: str, checkpoint: str | Path, output: str, complaint: str, capsys: Captured, tmp_path: Path
) -> None:
    for name in ("text.pth", "text.keras", "mine.weights.h5"):
        (tmp_path / name).write_text("no checkpoint")
    assert complaint in failure(capsys, convert(arch, tmp_path / checkpoint, tmp_path / output))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.weights.h5", "text.keras", "text.pth"]
    assert (tmp_path / "mine.weights.h5").read_text() == "no checkpoint"
