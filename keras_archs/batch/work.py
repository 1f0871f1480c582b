"""What is computed of each image: a published version and the columns that are wanted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from keras_archs.repository.artifact import read_card
from keras_archs.runtimes.local import runtime_release
from keras_archs.runtimes.runtime import Precision


@dataclass(frozen=True)
class Work:
    """What is computed of each image; can be pickled, and means the same on each machine that sees the version."""

    version_dir: Path
    """Folder of a published version."""
    cache_dir: Path | None = None
    """Folder for the versions that OpenVINO converts; None for no cache."""
    top_k: int = 5
    """Number of classes to name for each image, at least 1; all classes if the model has fewer."""
    embeddings: bool = False
    """Whether to keep the input of the last dense layer, too."""
    precision: Precision = "auto"
    """Arithmetic of OpenVINO for graphs in float32."""

    def describe(self) -> dict[str, Any]:
        """Return what the rows depend on besides the images, as data that `json` can write.

        Raises:
            ArtifactError: The version cannot be read.
        """
        card = read_card(self.version_dir)
        content = json.dumps(card.to_json(), sort_keys=True)
        return {
            "model": card.name,
            "version": int(self.version_dir.name),
            "sha256 of the version's card": hashlib.sha256(content.encode()).hexdigest(),
            "keras-archs": metadata.version("keras-archs"),
            "runtime": runtime_release(),
            "precision": self.precision,
            "top_k": min(self.top_k, len(card.labels)),
            "embeddings": self.embeddings,
        }
