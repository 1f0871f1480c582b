"""Fixtures of the command-line tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gateway import running_gateway
from tests.support.weights_server import isolated, serve, weights_server

__all__ = ["coffee", "isolated", "serve", "weights_server"]


@pytest.fixture
def coffee(tmp_path: Path, photographs: dict[str, bytes]) -> Path:
    """A JPEG file with an espresso."""
    path = tmp_path / "coffee.jpg"
    path.write_bytes(photographs["coffee"])
    return path


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory, constant_classifier: Callable[[Path, int], Path]) -> Iterator[str]:
    """The address of a gateway with versions 1 and 2 of `tiny`."""
    folder = tmp_path_factory.mktemp("gateway")
    for version in (1, 2):
        constant_classifier(folder / "models", version)
    with running_gateway(folder / "models", folder / "log", "--preload", "tiny") as gateway:
        yield f"http://127.0.0.1:{gateway.port}"
