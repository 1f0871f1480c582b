"""Trainings keep features in Keras' folder: that of the tests, not the user's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def keras_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Moves Keras' folder, for processes that tests start, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield
