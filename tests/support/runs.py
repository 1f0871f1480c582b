"""Configurations of runs for tests."""

from __future__ import annotations

from typing import Any

from keras_archs.training.runs.config import DataConfig, RunConfig


def a_config(**changes: Any) -> RunConfig:
    """Return the configuration of a head for two classes, with changes."""
    data = DataConfig(
        source="photos",
        packaged=False,
        may_flip=True,
        classes=("rose", "tulip"),
        images={"train": 6, "validation": 2},
        digest="digest",
    )
    fields: dict[str, Any] = {
        "name": "flowers",
        "data": data,
        "method": "head",
        "network": "efficientnet-lite0",
        "weights": "pypi",
        "image_size": None,
        "recipe": None,
        "time_limit": None,
        "seed": 0,
        "repository": "models",
        "report": True,
        "packages": {"keras": "3.0"},
    }
    return RunConfig(**fields | changes)
