"""The precision of the values that readers return."""

from typing import Any

import ml_dtypes  # NumPy has no bfloat16; with this import, safetensors reads it, too
import numpy as np
from numpy.typing import NDArray

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def in_float32(values: NDArray[Any]) -> NDArray[Any]:
    """Return floating-point values of any precision as float32, without a copy if they are, and integers unchanged."""
    if values.dtype.kind == "f" or values.dtype == BFLOAT16:
        return values.astype(np.float32, copy=False)
    return values
