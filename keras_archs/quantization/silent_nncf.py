"""NNCF without telemetry, progress bars and log lines: `from keras_archs.quantization.silent_nncf import nncf, silent`.

NNCF reports to an analytics host through the package that `keras_archs.runtimes.silent_openvino` keeps from OpenVINO.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator

_TELEMETRY = "openvino_telemetry"

_hides = _TELEMETRY not in sys.modules
if _hides:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say that an import has to fail
try:
    with contextlib.redirect_stdout(io.StringIO()):  # its log lines go to standard output
        import nncf
finally:
    if _hides:
        del sys.modules[_TELEMETRY]

__all__ = ["nncf", "silent"]

nncf.set_log_level(logging.ERROR)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep NNCF's progress bars from standard output, where a command writes its result."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
