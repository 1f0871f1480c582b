"""The repository that the tests of protocols share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def colours_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two versions of a network that tells colours apart. Shared: do not change it."""
    from tests.support import colours  # imports Keras, which most tests of protocols do not need

    repository = tmp_path_factory.mktemp("colours") / "models"
    colours.publish(repository)
    return repository
