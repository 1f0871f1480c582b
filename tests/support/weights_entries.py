"""Small files of weights, and entries that say where they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from keras_archs.cards.weights_entry import Checksum, WeightsEntry, WeightsFile
from keras_archs.images.preprocessing import Preprocessing

WEIGHTS = save({"fc.weight": np.arange(3000, dtype=np.float32).reshape(1000, 3)})
"""Content of a complete file of weights, in the format safetensors."""
OTHER_WEIGHTS = save({"fc.weight": np.ones((1000, 3), np.float32)})
"""Content of another file of the same size."""
CHECKSUM = Checksum("sha256", hashlib.sha256(WEIGHTS).hexdigest())
PATH = "resnet-18/somebody/v1"
"""Network and tag of the entries: the folder of their files in the cache."""


def published(content: bytes) -> Checksum:
    """Return the checksum of a file with this content."""
    return Checksum("sha256", hashlib.sha256(content).hexdigest())


def file_at(url: str, checksum: Checksum | None = CHECKSUM) -> WeightsFile:
    """Return a file of a web server."""
    location, _, name = url.rpartition("/")
    return WeightsFile("url", location, name, "safetensors", checksum)


def file_of_hub(checksum: Checksum | None = CHECKSUM) -> WeightsFile:
    """Return a file of a repository of the Hugging Face hub."""
    return WeightsFile("hub", "somebody/resnet18", "model.safetensors", "safetensors", checksum)


def an_entry(*files: WeightsFile) -> WeightsEntry:
    """Return weights of ResNet-18 with these files."""
    preprocessing = Preprocessing(size=(224, 224), mean=(0, 0, 0), std=(255, 255, 255))
    return WeightsEntry("resnet-18", "somebody/v1", files, "torchvision-resnet", preprocessing, None, None, "MIT")


def put(path: Path, content: bytes = WEIGHTS) -> Path:
    """Write a file into a folder, which is made if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
