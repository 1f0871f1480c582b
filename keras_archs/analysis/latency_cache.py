"""Latencies on disk, so that a network is measured once on a machine.

    <Keras' folder>/keras_archs/latencies/<digest>.json     a latency, and the conditions that it was measured under

A latency is used only if all its conditions are the same. Each file is written under another name, then renamed:
several processes may share the folder. A cache that cannot be used is no reason not to measure: failures are logged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_archs.analysis.latency import Latency
from keras_archs.weights.download.places import keras_home

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conditions:
    """What a latency depends on."""

    network: str
    """Name in the registry."""
    arguments: Mapping[str, Any]
    """Arguments of the builder that differ from the network's."""
    size: tuple[int, int]
    """Height and width of the images, in pixels."""
    batch: int
    threads: int
    arithmetic: str
    """What the network computes with."""
    processor: str
    openvino: str
    """Version of OpenVINO."""
    keras_archs: str
    """Version of this package."""


def default_folder() -> Path:
    """Return the folder for latencies; the variable KERAS_HOME moves it."""
    return keras_home() / "keras_archs" / "latencies"


class LatencyCache:
    """Latencies in a folder."""

    def __init__(self, folder: Path) -> None:
        """Prepare a cache; nothing is read or written.

        Args:
            folder: Folder of the cache, created if needed.
        """
        self._folder = folder

    def find(self, conditions: Conditions) -> Latency | None:
        """Return the latency under the same conditions; None if there is none."""
        path = self._path(conditions)
        try:
            stored = json.loads(path.read_bytes())
            if stored["conditions"] != _plain(conditions):
                raise ValueError("it was measured under other conditions")
            return Latency(**stored["latency"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("a stored latency cannot be read and is measured again: %s: %s", path, error)
            return None

    def store(self, conditions: Conditions, latency: Latency) -> None:
        """Add a latency, in place of that under the same conditions."""
        content = {"conditions": _plain(conditions), "latency": asdict(latency)}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(".incoming", dir=self._folder)
            incoming = Path(name)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
                incoming.replace(self._path(conditions))
            finally:
                incoming.unlink(missing_ok=True)
        except OSError as error:
            log.warning("a latency cannot be stored, so that the next run measures it again: %s", error)

    def _path(self, conditions: Conditions) -> Path:
        described = json.dumps(_plain(conditions), sort_keys=True).encode()
        return self._folder / f"{hashlib.blake2b(described, digest_size=16).hexdigest()}.json"


def _plain(conditions: Conditions) -> Any:
    """Return the conditions as JSON reads them."""
    return json.loads(json.dumps({**asdict(conditions), "arguments": dict(conditions.arguments)}))
