"""What all servers get: the same photographs, and the graph of the same version."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image
from skimage import data

from keras_archs.repository import artifact
from keras_archs.runtimes import openvino_graph
from keras_archs.runtimes.silent_openvino import ov

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
SIZE = (500, 375)


def photographs() -> list[bytes]:
    """Return photographs as JPEGs of 500x375 pixels."""
    encoded = []
    for name in PHOTOGRAPHS:
        file = io.BytesIO()
        Image.fromarray(getattr(data, name)()).resize(SIZE, Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return encoded


def prepare_for_peers(model_dir: Path, folder: Path) -> None:
    """Write the graph of the newest version as OpenVINO's model, and the labels; call it in a process of its own."""
    version_dir = model_dir / str(max(artifact.published_versions(model_dir)))
    card = artifact.read_card(version_dir)
    graph = openvino_graph.read_graph(ov.Core(), version_dir, "serving_default")
    graph.reshape([1, *card.preprocessing.size, card.preprocessing.channels])
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    labels = [label.name for label in card.labels]
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
