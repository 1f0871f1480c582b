"""TensorFlow's messages, imported without TensorFlow.

Importing any of them imports the whole package: 2.8 s and half a gigabyte. So a bare namespace with the package's path
stands in for it while they are imported. Of TensorFlow, only the files `*_pb2.py` have to be installed (below `core`
and `compiler/xla/tsl`: 1 MB), not its libraries. A TensorFlow that is imported later finds its message classes there
already, and uses them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def bare_tensorflow() -> Iterator[None]:
    """Within it, `tensorflow` is a namespace, unless it has been imported already.

    Raises:
        ModuleNotFoundError: Not even its messages are installed.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    bare = ModuleType("tensorflow")
    bare.__path__ = list(found.submodule_search_locations)
    sys.modules["tensorflow"] = bare
    try:
        yield
    finally:
        del sys.modules["tensorflow"]
