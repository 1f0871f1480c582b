"""A repository with a quantized version, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.quantizable import paint_colours, publish_quantized_colours


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """220 pictures."""
    return paint_colours(tmp_path_factory.mktemp("calibration") / "pictures", 220, seed=0)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 other pictures in class folders."""
    return paint_colours(tmp_path_factory.mktemp("labelled") / "pictures", 200, seed=1)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with `colours` in float32 as version 1, and quantized as version 2. Shared: do not change it."""
    return publish_quantized_colours(tmp_path_factory.mktemp("quantized"))
