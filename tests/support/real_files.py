"""Real published files of weights for tests: two are fixtures, larger ones come from a folder.

The environment variable `KERAS_ARCHS_TEST_WEIGHTS` names the folder.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.networks import FIXTURES

FOLDER = os.environ.get("KERAS_ARCHS_TEST_WEIGHTS")


def real(network: str, name: str) -> Any:
    """Return a network and the path of its file as parameters of a test, which is skipped without the file."""
    path = FIXTURES / "weights" / name
    if not path.exists():
        path = Path(FOLDER or "") / name
    missing = FOLDER is None and not path.exists()
    skip = pytest.mark.skipif(missing, reason=f"KERAS_ARCHS_TEST_WEIGHTS names no folder with {name}")
    return pytest.param(network, path, id=network, marks=skip)
