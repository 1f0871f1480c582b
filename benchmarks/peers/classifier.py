"""What the peers' servers serve: a photograph in, the top five classes out, with Pillow and OpenVINO.

The module needs nothing of keras_archs, because it runs in the peers' own environment.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import openvino as ov
from PIL import Image

OPTIONS = "PEER_OPTIONS"
"""Variable with the options of a server, as JSON: `benchmarks.peers.contenders` sets it."""

CROP = 0.875
TOP = 5


def options() -> dict[str, Any]:
    """Return the options with which this server was started."""
    chosen: dict[str, Any] = json.loads(os.environ[OPTIONS])
    return chosen


class Classifier:
    """A compiled model with its labels."""

    def __init__(self, folder: Path, threads: int, precision: str) -> None:
        """Compile the model of a folder, and run it once.

        Args:
            folder: Folder with `model.xml` and `labels.json`.
            threads: Images that are computed in parallel, each on one core.
            precision: OpenVINO's name of the arithmetic: "f32" or "bf16".
        """
        core = ov.Core()
        model = core.read_model(folder / "model.xml")
        _, self._height, self._width, _ = model.input().shape
        config = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": precision,
        }
        self._compiled = core.compile_model(model, "CPU", config)
        self._labels: list[str] = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        self._of_thread = local()
        self._threads = ThreadPoolExecutor(threads)
        self._probabilities(np.zeros((1, self._height, self._width, 3), np.uint8))

    def classify(self, encoded: bytes) -> list[dict[str, Any]]:
        """Return index, label and score of the top five classes; threads may call it in parallel."""
        with Image.open(io.BytesIO(encoded)) as image:
            return self.classify_image(image)

    def classify_image(self, image: Image.Image) -> list[dict[str, Any]]:
        """Return the same for an opened image, whose pixels may not have been decoded yet."""
        probabilities = self._probabilities(self._pixels(image))
        best = np.argpartition(probabilities, -TOP)[-TOP:]
        best = best[np.argsort(-probabilities[best])]
        return [{"index": int(i), "label": self._labels[i], "score": float(probabilities[i])} for i in best]

    def classify_images(self, images: Sequence[Image.Image]) -> list[list[dict[str, Any]]]:
        """Return the same for a batch, whose images are decoded and computed in parallel."""
        return list(self._threads.map(self.classify_image, images))

    def _pixels(self, image: Image.Image) -> np.ndarray[Any, Any]:
        """Crop the largest centred square to seven eighths of its sides, and resize it to the input."""
        side = min(image.size)
        kept = CROP * side
        left, top = (image.width - kept) / 2, (image.height - kept) / 2
        box = (left, top, left + kept, top + kept)
        resized = image.convert("RGB").resize((self._width, self._height), Image.Resampling.BICUBIC, box)
        return np.asarray(resized)[np.newaxis]

    def _probabilities(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        self._of_thread.request.infer([pixels], share_inputs=True)
        return np.array(self._of_thread.request.get_output_tensor().data[0])
