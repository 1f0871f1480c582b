"""Imports without OpenVINO's package for telemetry.

The package writes files into the user's home, starts threads and looks up an analytics host, unless a file in the home
forbids it. What imports the package offers no switch to programs, and works without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Let the package not be found inside the `with` block, unless the program has imported it before by itself."""
    hides = _TELEMETRY not in sys.modules
    if hides:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say that an import has to fail
    try:
        yield
    finally:
        if hides:
            del sys.modules[_TELEMETRY]
