"""Keras' legacy files are read in their own order and with nothing from outside the file."""

import os
import re
import struct
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.reading import read_tensors
from tests.support.networks import FIXTURES

Layers = Mapping[str, Mapping[str, Any]]
"""Values by path, by layer."""


def write(group: h5py.Group, layers: Layers, *, text: Callable[[Sequence[str]], Any]) -> None:
    """Write layers as Keras does, with lists of names as ``text`` returns them."""
    group.attrs["layer_names"] = text(list(layers))
    for layer, variables in layers.items():
        subgroup = group.create_group(layer)
        subgroup.attrs["weight_names"] = text(list(variables))
        for name, value in variables.items():
            subgroup[name] = value


def as_bytes(names: Sequence[str]) -> Any:
    """Return names as Keras writes them: byte strings of one length, and numbers if there are none."""
    return np.array([name.encode() for name in names])


def as_text(names: Sequence[str]) -> Any:
    return np.array(names, h5py.string_dtype())


def read(path: Path) -> dict[str, Any]:
    return read_tensors(path, "h5")


LAYERS: Layers = {
    "input_1": {},
    "z_conv": {"z_conv/kernel:0": np.ones((1, 1, 3, 4), np.float32)},
    "a_bn": {"a_bn/gamma:0": np.full(4, 2, np.float32), "a_bn/beta:0": np.full(4, 3, np.float32)},
    "expanded_conv/squeeze_excite/Conv": {"expanded_conv/squeeze_excite/Conv/kernel:0": np.zeros((1, 1, 4, 8))},
    "normalization": {"mean:0": np.zeros(3, np.float32), "count:0": np.array(0)},
}
NAMES = ["z_conv/kernel", "a_bn/gamma", "a_bn/beta", "expanded_conv/squeeze_excite/Conv/kernel",
         "normalization/mean", "normalization/count"]  # fmt: skip


@pytest.mark.parametrize("text", [as_bytes, as_text])
@pytest.mark.parametrize("root", [None, "model_weights"], ids=["weights", "whole model"])
def test_variables_are_read_in_the_order_of_the_layers(root: str | None, text: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file if root is None else file.create_group(root), LAYERS, text=text)
    values = read(tmp_path / "a.h5")
    assert list(values) == NAMES
    assert (values["a_bn/beta"].tolist(), values["normalization/count"].shape) == ([3] * 4, ())
    assert {name: value.dtype for name, value in values.items() if value.dtype != np.float32} == {
        "normalization/count": np.dtype(np.int64)
    }


def test_variables_of_the_model_itself_come_last(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file, LAYERS, text=as_bytes)
        group = file.create_group("top_level_model_weights")
        group.attrs["weight_names"] = as_bytes(["scale:0"])
        group["scale:0"] = np.ones(1, np.float32)
    assert list(read(tmp_path / "a.h5")) == [*NAMES, "top_level_model_weights/scale"]


def test_a_mobilenet_of_tf_slim_is_read() -> None:
    path = FIXTURES / "weights/mobilenet_2_5_224_tf.h5"
    values = read(path)
    assert len(values) == 137
    assert list(values)[:3] == ["conv1/kernel", "conv1_bn/gamma", "conv1_bn/beta"]
    assert (values["conv1/kernel"].shape, values["conv_preds/bias"].shape) == ((3, 3, 3, 8), (1000,))
    assert sum(value.size for value in values.values()) == 475_544  # parameters and moving statistics


def test_long_lists_of_names_are_put_together(tmp_path: Path) -> None:
    """HDF5 bounds an attribute by 64 kB, so that Keras splits a list of many layers."""
    names = [
        f"a_layer_whose_name_has_more_than_sixty_characters_so_that_the_list_is_{number:04}" for number in range(900)
    ]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for part, start in enumerate(range(0, len(names), 300)):
            file.attrs[f"layer_names{part}"] = as_bytes(names[start : start + 300])
        for name in names:
            group = file.create_group(name)
            group.attrs["weight_names0"] = as_bytes([f"{name}/kernel:0"])
            group.attrs["weight_names1"] = as_bytes([f"{name}/bias:0"])
            group[f"{name}/kernel:0"] = group[f"{name}/bias:0"] = np.zeros(1, np.float32)
    assert list(read(tmp_path / "a.h5")) == [f"{name}/{variable}" for name in names for variable in ("kernel", "bias")]


def small_network() -> keras.Model:
    backbone = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="zconv"), keras.layers.BatchNormalization(name="bn")],
        name="backbone",
    )
    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(backbone(images))
    return keras.Model(images, keras.layers.Dense(2, name="head")(pooled))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_whole_model_with_a_network_inside_has_the_names_of_the_inner_layers(tmp_path: Path) -> None:
    model = small_network()
    model.save(tmp_path / "a.h5")
    values = read(tmp_path / "a.h5")
    assert list(values) == [
        "zconv/kernel", "zconv/bias", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance",
        "head/kernel", "head/bias",
    ]  # fmt: skip
    np.testing.assert_array_equal(values["zconv/kernel"], model.get_layer("backbone").get_layer("zconv").kernel)
    np.testing.assert_array_equal(values["head/kernel"], model.get_layer("head").kernel)


def test_a_file_of_numbered_variables_is_told_how_to_load_it(tmp_path: Path) -> None:
    small_network().save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(CheckpointError, match=r"this is a \.weights\.h5 file, whose variables have no names"):
        read(tmp_path / "a.weights.h5")


def sound(path: Path) -> h5py.File:
    """Write a sound file of one layer, and return it open."""
    file = h5py.File(path, "w")
    write(file, {"conv": {"conv/kernel": np.ones(1000, np.float32)}}, text=as_bytes)
    return file


def other_file(path: Path) -> Path:
    """Write a file with what an attacker must not read."""
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["secret"] = np.full(1000, 7, np.float32)
        other.create_group("group")["kernel"] = np.full(1000, 7, np.float32)
    return path.with_name("other.h5")


def replace(file: h5py.File, what: Any, place: str = "conv/conv/kernel") -> None:
    del file[place]
    file[place] = what


def virtual(file: h5py.File, path: Path) -> None:
    del file["conv/conv/kernel"]
    layout = h5py.VirtualLayout((1000,), np.float32)
    layout[:] = h5py.VirtualSource(other_file(path), "secret", (1000,))
    file["conv/conv"].create_virtual_dataset("kernel", layout)


def external(file: h5py.File, path: Path) -> None:
    del file["conv/conv/kernel"]
    (path.parent / "raw").write_bytes(bytes(4000))
    file["conv/conv"].create_dataset("kernel", (1000,), np.float32, external=[(path.parent / "raw", 0, 4000)])


def promised(file: h5py.File, path: Path) -> None:
    """Make a dataset of 4 TB, for which HDF5 writes nothing."""
    del file["conv/conv/kernel"]
    file["conv/conv"].create_dataset("kernel", (10**12,), np.float32)


def compressed(file: h5py.File, path: Path) -> None:
    del file["conv/conv/kernel"]
    file["conv/conv"].create_dataset("kernel", data=np.zeros(10**6, np.float32), compression="gzip")


def in_pieces(file: h5py.File, path: Path) -> None:
    del file["conv/conv/kernel"]
    file["conv/conv"].create_dataset("kernel", (10**12,), np.float32, chunks=(1000,), fillvalue=1)


def many_names(file: h5py.File, path: Path) -> None:
    """Give one array a thousand names."""
    file["conv"].attrs["weight_names"] = as_bytes([f"conv/kernel{number}" for number in range(1000)])
    for number in range(1000):
        file[f"conv/conv/kernel{number}"] = file["conv/conv/kernel"]


HOSTILE: dict[str, tuple[Callable[[h5py.File, Path], Any], str]] = {
    "external link": (lambda file, path: replace(file, h5py.ExternalLink(other_file(path), "secret")), "is a link"),
    "external layer": (lambda file, path: replace(file, h5py.ExternalLink(other_file(path), "/"), "conv"), "is a link"),
    "soft link": (lambda file, path: replace(file, h5py.SoftLink("/conv")), "is a link"),
    "link within a path": (
        lambda file, path: replace(file, h5py.ExternalLink(other_file(path), "group"), "conv/conv"),
        "conv in /conv is a link",
    ),
    "virtual data": (virtual, "conv/kernel refers to data in another file"),
    "external data": (external, "conv/kernel refers to data in another file"),
    "promised data": (promised, "the file does not have the 4,000,000,000,000 bytes of conv/kernel"),
    "compressed data": (compressed, "conv/kernel is compressed or in pieces"),
    "data in pieces": (in_pieces, "conv/kernel is compressed or in pieces"),
    "many names": (many_names, "the variables together are longer than the file"),
    "texts": (
        lambda file, path: replace(file, np.array(["a"] * 10, object)),
        "conv/kernel does not consist of numbers",
    ),
    "records": (
        lambda file, path: replace(file, np.zeros(3, np.dtype([("a", "f4"), ("b", "i4")]))),
        "conv/kernel does not consist of numbers",
    ),
    "a group": (
        lambda file, path: file["conv"].attrs.__setitem__("weight_names", as_bytes(["conv"])),
        "is not a dataset",
    ),
    "data as a layer": (lambda file, path: replace(file, np.zeros(3), "conv"), "conv in / is not a group"),
    "no such layer": (lambda file, path: replace(file, np.zeros(3), "conv/conv"), "has no member conv/kernel"),
    "no such variable": (lambda file, path: file.__delitem__("conv/conv/kernel"), "has no member conv/kernel"),
    "no name": (lambda file, path: file["conv"].attrs.__setitem__("weight_names", as_bytes([""])), "has no member"),
    "a name twice": (
        lambda file, path: file["conv"].attrs.__setitem__("weight_names", as_bytes(["conv/kernel"] * 2)),
        "two variables have the name conv/kernel",
    ),
    "numbers as names": (
        lambda file, path: file["conv"].attrs.__setitem__("weight_names", np.arange(3)),
        "the attribute weight_names of /conv must be a list",
    ),
    "one name": (
        lambda file, path: file["conv"].attrs.__setitem__("weight_names", "conv/kernel"),
        "the attribute weight_names of /conv must be a list",
    ),
    "no list": (lambda file, path: file.attrs.__delitem__("layer_names"), "has no attribute layer_names"),
}


@pytest.mark.parametrize(("change", "complaint"), HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_leads_elsewhere_or_grows_is_refused(
    change: Callable[[h5py.File, Path], Any], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.h5"
    with sound(path) as file:
        change(file, path)
    before = sorted(tmp_path.iterdir())
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=complaint):
            read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10e6
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("place", ["model_weights", "top_level_model_weights", "conv", "conv/conv", "conv/conv/kernel"])
def test_the_target_of_a_link_is_not_even_opened(place: str, tmp_path: Path) -> None:
    """Opening a pipe, to which nothing writes, would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with sound(tmp_path / "a.h5") as file:
        if place in file:
            del file[place]
        file[place] = h5py.ExternalLink(tmp_path / "pipe", "/")
    with pytest.raises(CheckpointError, match="is a link, which Keras does not write"):
        read(tmp_path / "a.h5")


def test_a_long_text_to_which_all_names_refer_is_refused(tmp_path: Path) -> None:
    """HDF5 copies a text of variable length for every name that refers to it: here 1 MB for 1,000 names."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = as_text(["x" * 1_000_000, *["conv"] * 999])
    content = path.read_bytes()
    collections = re.finditer(b"GCOL.{4}(.{8})", content, re.DOTALL)
    place = next(match.start() for match in collections if int.from_bytes(match[1], "little") > 1_000_000)
    start = content.index(struct.pack("<IQ", 1_000_000, place))
    reference = content[start : start + 16]
    path.write_bytes(content[:start] + 1000 * reference + content[start + 16_000 :])
    with pytest.raises(CheckpointError, match="the names in layer_names of / may have more than 100,000,000 bytes"):
        read(path)


@pytest.mark.parametrize("length", [0, 8, 160, 4081, 2**63, 2**64 - 2])
@pytest.mark.parametrize("number", [0, 1])
def test_a_text_of_impossible_length_is_refused(number: int, length: int, tmp_path: Path) -> None:
    """HDF5 itself does not end when it reads some of these files; the number 0 is free space."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = as_text(["conv"])
    content = path.read_bytes()
    place = content.index(b"GCOL") + 16
    content = content[:place] + struct.pack("<HHIQ", number, 1, 0, length) + content[place + 16 :]
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read(path)


def test_the_sound_file_that_the_hostile_files_change_is_read(tmp_path: Path) -> None:
    sound(tmp_path / "a.h5").close()
    assert list(read(tmp_path / "a.h5")) == ["conv/kernel"]


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    sound(path).close()
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read(path)
