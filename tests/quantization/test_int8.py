"""What is quantized: not the first layer and not the last, and fewer layers where accuracy is controlled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_archs.quantization.int8 import Control, Int8Graph, int8_graph
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.silent_openvino import ov
from tests.support.quantizable import SIDE


def test_accuracy_control_returns_layers_to_float32(repository: Path, tmp_path: Path) -> None:
    version_dir, shape = repository / "colours" / "1", (1, SIDE, SIDE, 3)
    float32 = OpenVinoRuntime().compile(version_dir, shape)
    random = np.random.default_rng(0)
    plain_colours = random.integers(0, 256, (3000, 1, 1, 3), np.uint8).repeat(SIDE, axis=1).repeat(SIDE, axis=2)
    answers = np.concatenate([float32(image[np.newaxis]) for image in plain_colours])
    ordered = np.sort(answers, axis=1)
    # two classes are about as probable, so that int8 changes some answers
    closest = np.argsort(ordered[:, -1] - ordered[:, -2])[:200]
    images, classes = plain_colours[closest], answers[closest].argmax(axis=1).astype(np.int32)

    def accuracy(found: Int8Graph) -> float:
        ov.save_model(found.graph, tmp_path / "int8.xml", compress_to_fp16=False)
        int8 = OpenVinoRuntime().compile(tmp_path / "int8.xml", shape)
        return float(np.mean([int8(image[np.newaxis]).argmax() for image in images] == classes))

    plain = int8_graph(version_dir, images[:100])
    assert accuracy(plain) < 1
    controlled = int8_graph(version_dir, images[:100], Control(list(images), classes, max_drop=0))
    assert accuracy(controlled) == 1
    assert controlled.int8_layers < plain.int8_layers == 3


def test_a_network_of_which_nothing_would_be_quantized_is_refused(
    tmp_path: Path, constant_classifier: Callable[[Path, int], Path]
) -> None:
    version_dir = constant_classifier(tmp_path, 1)
    with pytest.raises(ValueError, match="1 convolutions and matrix products, of which the first and the last"):
        int8_graph(version_dir, np.zeros((1, 32, 32, 3), np.uint8))
