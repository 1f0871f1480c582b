"""NNCF without telemetry, progress bars and log lines: `from keras_archs.quantization.silent_nncf import nncf, silent`.

NNCF reports to an analytics host through OpenVINO's package for telemetry.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

from keras_archs.runtimes.no_telemetry import without_telemetry

with without_telemetry(), contextlib.redirect_stdout(io.StringIO()):  # its log lines go to standard output
    import nncf

__all__ = ["nncf", "silent"]

nncf.set_log_level(logging.ERROR)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep NNCF's progress bars from standard output, where a command writes its result."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
