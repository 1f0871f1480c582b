"""TensorFlow's message classes, imported without TensorFlow.

A plain import of one of the `*_pb2.py` modules imports all of TensorFlow: 2.8 s and half a gigabyte. So a bare
namespace with the package's path replaces `tensorflow` during the import. Only the `*_pb2.py` files below `core` and
`compiler/xla/tsl` (1 MB) have to be installed, not TensorFlow's libraries. A TensorFlow that is imported later finds
the message classes in `sys.modules` and uses them.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def bare_tensorflow() -> Iterator[None]:
    """Make `tensorflow` a bare namespace inside the `with` block, unless TensorFlow has been imported already.

    Raises:
        ModuleNotFoundError: The `tensorflow` package is not installed, not even its message classes.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    bare = ModuleType("tensorflow")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = bare
    try:
        yield
    finally:
        del sys.modules["tensorflow"]
