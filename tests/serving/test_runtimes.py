"""The gateway on the runtime that its settings name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact
from keras_archs.runtimes.loading import predict
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime
from tests.support.gateway import running_gateway


@pytest.mark.slow  # the contract of all engines has the same promise
def test_the_gateway_can_run_on_tensorflow(
    lite0_repository: Path, tmp_path: Path, photographs: dict[str, bytes]
) -> None:
    flags = ("--runtime", "tensorflow", "--preload", "efficientnet-lite0")
    with running_gateway(lite0_repository, tmp_path / "log", *flags) as gateway:
        answer = gateway.client.post("/classify/efficientnet-lite0", files=list(photographs.items())).json()
    best = [scores[0] for scores in answer["images"]]
    version_dir = lite0_repository / "efficientnet-lite0" / "1"
    card = artifact.read_card(version_dir)
    images = np.stack([load_image(image, card.preprocessing) for image in photographs.values()])
    expected = predict(TensorFlowRuntime().load(version_dir, card), images)
    assert [score["index"] for score in best] == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose([score["score"] for score in best], expected.max(axis=1), atol=1e-3)
