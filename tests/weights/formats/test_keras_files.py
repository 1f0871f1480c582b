"""A ``.weights.h5`` file gives nothing from outside the file."""

import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.keras_files import KerasFile


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


@pytest.mark.parametrize("place", ["layers", "layers/dense", "layers/dense/vars/0"])
def test_the_target_of_a_link_is_not_even_opened(place: str, tmp_path: Path) -> None:
    """Opening a pipe, to which nothing writes, would wait for ever."""
    path = tmp_path / "a.weights.h5"
    keras.utils.clear_session()  # the layer's name is its name in the file
    dense().save_weights(path)
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(path, "r+") as file:
        del file[place]
        file[place] = h5py.ExternalLink(tmp_path / "pipe", "/")
    keras.utils.clear_session()
    model = dense()
    before = model.get_weights()
    with pytest.raises(CheckpointError, match="does not fit"):
        KerasFile(path).load_into(model)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
