"""Reference weights and logits on TensorFlow: ``python -m tests.support.backend_references FOLDER`` writes them."""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_archs.registry import create_model
from tests.support.networks import FAMILIES, calibrated, photographs

SHAPES = ((192, 192), (113, 161))
ANY_SIZE: dict[str, Any] = {"input_shape": (None, None, 3), "classes": 100, "classifier_activation": None}


def main(folder: Path) -> None:
    """Write the weights and the logits of each network, a file each."""
    for name in FAMILIES.values():
        keras.utils.clear_session()
        model = calibrated(create_model(name, **ANY_SIZE))
        model.save_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}.npz", *(np.asarray(model(photographs(*shape))) for shape in SHAPES))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
