"""Answers as the gateway writes them."""

from __future__ import annotations

from typing import Any


def classification(*labels: str, version: int = 1) -> dict[str, Any]:
    """Return an answer with one class per image."""
    return {
        "model": "tiny",
        "version": version,
        "trained": True,
        "weights": "the test",
        "multi_label": False,
        "images": [[{"index": 0, "label": label, "wordnet_id": None, "score": 0.5}] for label in labels],
    }
