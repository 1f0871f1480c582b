"""Fixtures of the command-line tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.weights_server import isolated, serve, weights_server

__all__ = ["coffee", "isolated", "serve", "weights_server"]


@pytest.fixture
def coffee(tmp_path: Path, photographs: dict[str, bytes]) -> Path:
    """A JPEG file with an espresso."""
    path = tmp_path / "coffee.jpg"
    path.write_bytes(photographs["coffee"])
    return path
