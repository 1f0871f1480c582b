"""Weights and logits of TensorFlow, for the backend that the tests run on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.networks import fresh_keras

__all__ = ["fresh_keras"]


@pytest.fixture(scope="session")
def of_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights and the logits of each network, computed in a process with TensorFlow."""
    folder = tmp_path_factory.mktemp("tensorflow")
    subprocess.run(
        [sys.executable, "-m", "tests.support.backend_references", folder],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        check=True,
    )
    return folder
