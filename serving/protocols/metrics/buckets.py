"""Buckets of the histograms."""

from __future__ import annotations

from typing import Final

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # 30 s: default of both timeouts
PHASE_SECONDS: Final = (0.0005, 0.001, 0.0025, *SECONDS)
SHARES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
BYTES: Final = (1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7)
PIXELS: Final = (1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7, 3e7)
