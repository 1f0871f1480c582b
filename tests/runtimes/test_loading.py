"""A version is served only if it is the one that was exported, and answers as the exported model did."""

from __future__ import annotations

import json
import logging
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.images.decoding import load_image
from keras_archs.repository import artifact, reference_answers
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import checksums
from keras_archs.runtimes import openvino_graph
from keras_archs.runtimes.loading import load_explainer, load_version, predict
from keras_archs.runtimes.openvino_runtime import OpenVinoRuntime
from keras_archs.runtimes.runtime import Runtime, Session
from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime
from tests.support.fake_runtime import FakeRuntime, publish

PREPROCESSING = keras_archs.Preprocessing(size=(32, 32), mean=(128, 128, 128), std=(64, 64, 64))
RUNTIMES = [OpenVinoRuntime, TensorFlowRuntime]


def load(runtime: Runtime, version_dir: Path) -> Session:
    return load_version(runtime, version_dir, artifact.read_card(version_dir))


def export(
    repository: Path, name: str, *, change: Callable[[Any], object] = lambda model: None, **options: Any
) -> Path:
    """Publish a small network whose answers depend on the picture."""
    import keras

    keras.utils.set_random_seed(1)
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", **options)(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    # more products than an 8-bit sum holds, and logits far enough apart
    x = keras.layers.Dense(256, activation="relu", **options)(x)
    x = keras.layers.Dense(4, kernel_initializer=keras.initializers.RandomNormal(stddev=2), **options)(x)
    model = keras.Model(images, keras.layers.Activation("softmax", dtype="float32")(x))
    change(model)
    return keras_archs.export_model(
        model, repository, name=name, preprocessing=PREPROCESSING, allow_untrained=True
    ).path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: do not change it."""
    return export(tmp_path_factory.mktemp("plain"), "net")


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: do not change it."""
    return export(tmp_path_factory.mktemp("quantized"), "net", change=lambda model: model.quantize("int8"))


@pytest.fixture
def copied(plain: Path, tmp_path: Path) -> Path:
    """A copy of the plain network that a test may damage."""
    return Path(shutil.copytree(plain, tmp_path / "models" / "net" / "1"))


def rewrite(version_dir: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit the card of a version by hand."""
    card = json.loads((version_dir / artifact.CARD).read_text())
    change(card)
    (version_dir / artifact.CARD).write_text(json.dumps(card))


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another size": (lambda card: card["preprocessing"].update(size=[48, 48]), r"\(48, 48, 3\).*\(any, 32, 32, 3\)"),
    "swapped sides": (lambda card: card["preprocessing"].update(size=[32, 24]), r"\(32, 24, 3\).*\(any, 32, 32, 3\)"),
    "greyscale": (
        lambda card: card["preprocessing"].update(mean=[128], std=[64]),
        r"\(32, 32, 1\).*\(any, 32, 32, 3\)",
    ),
    "too few labels": (lambda card: card["labels"].pop(), r"has 3 labels, but .*\(any, 4\)"),
    "too many labels": (lambda card: card["labels"].append(card["labels"][0]), r"has 5 labels, but .*\(any, 4\)"),
    "another name": (lambda card: card.update(name="other"), "the card of version 1 is that of a model named 'other'"),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("misfit", MISFITS)
def test_a_card_that_does_not_fit_its_graph_is_refused(
    copied: Path, misfit: str, runtime: type[OpenVinoRuntime | TensorFlowRuntime]
) -> None:
    change, message = MISFITS[misfit]
    rewrite(copied, change)
    with pytest.raises(ArtifactError, match=message) as refused:
        load(runtime(), copied)
    assert str(copied.parent.parent) not in str(refused.value)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", ["plain", "quantized"])
def test_a_network_answers_like_the_exported_model(
    request: pytest.FixtureRequest, kind: str, runtime: type[OpenVinoRuntime | TensorFlowRuntime]
) -> None:
    version_dir: Path = request.getfixturevalue(kind)
    answers = reference_answers.read(version_dir, artifact.read_card(version_dir))
    assert answers is not None
    received = predict(load(runtime(), version_dir), answers.images)
    np.testing.assert_allclose(received, answers.probabilities, atol=0.01)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_a_network_in_half_precision_is_not_refused_for_its_rounding(tmp_path: Path, dtype: str) -> None:
    load(OpenVinoRuntime(), export(tmp_path, "net", dtype=dtype))


@pytest.mark.slow
def test_a_quantized_network_with_imagenets_weights_recognises_an_espresso(
    tmp_path: Path, photographs: dict[str, bytes]
) -> None:
    model = keras_archs.create_model("efficientnet-lite0", weights="imagenet")
    model.quantize("int8")
    version_dir = keras_archs.export_model(model, tmp_path, name="net").path
    image = load_image(photographs["coffee"], artifact.read_card(version_dir).preprocessing)[np.newaxis]
    for runtime in (OpenVinoRuntime(), OpenVinoRuntime(precision="bf16"), TensorFlowRuntime()):
        (probabilities,) = load(runtime, version_dir).infer(image)
        assert probabilities.argmax() == 967
        assert probabilities.max() > 0.9


def test_openvino_refuses_a_network_that_its_conversion_changes(
    quantized: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_graph, "_widen_products_of_bytes", lambda graph: None)
    with pytest.raises(ArtifactError, match="does not answer like the exported model") as refused:
        load(OpenVinoRuntime(), quantized)
    assert str(refused.value).endswith("use the runtime `tensorflow`")
    with pytest.raises(ArtifactError, match=r"use the precision `f32` or the runtime `tensorflow`$"):
        load(OpenVinoRuntime(precision="bf16"), quantized)


class WrongRuntime:
    """OpenVINO's runtime, with answers that are changed."""

    def __init__(self, wrong: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self._runtime, self._wrong = OpenVinoRuntime(), wrong

    def estimate_memory(self, version_dir: Path) -> int:
        return self._runtime.estimate_memory(version_dir)

    def load(self, version_dir: Path, card: ArtifactCard) -> Session:
        session = self._runtime.load(version_dir, card)
        infer = session.infer
        session.infer = lambda images: self._wrong(infer(images))  # type: ignore[method-assign]
        return session


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return probabilities


WRONG: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "noise": lambda scores: np.full_like(scores, 1 / scores.shape[1]),
    "a second softmax": softmax,
    "classes in another order": lambda scores: scores[:, ::-1],
    "logits": np.log,
    "not a number": lambda scores: scores * np.float32("nan"),
    "a class less": lambda scores: scores[:, 1:],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_graph_that_answers_otherwise_is_refused(plain: Path, wrong: str) -> None:
    with pytest.raises(ArtifactError, match=r"the graph (does not answer like|answers with the shape)"):
        load(WrongRuntime(WRONG[wrong]), plain)


def test_an_older_version_without_reference_answers_loads(copied: Path) -> None:
    (copied / artifact.REFERENCE_ANSWERS).unlink()
    rewrite(copied, lambda card: card.update(checksums=checksums(copied)))
    assert load(OpenVinoRuntime(), copied).max_batch == 1


def test_the_explainer_is_compared_as_well(constant_classifier: Callable[[Path, int], Path], tmp_path: Path) -> None:
    copied = constant_classifier(tmp_path, 1)
    card = artifact.read_card(copied)
    session = load(OpenVinoRuntime(), copied)
    load_explainer(session, copied, card)
    answers = reference_answers.read(copied, card)
    assert answers is not None
    permuted = np.ascontiguousarray(np.roll(answers.probabilities, 1, axis=1))
    reference_answers.write(copied, replace(answers, probabilities=permuted))
    with pytest.raises(ArtifactError, match="does not answer like the exported model"):
        load_explainer(session, copied, card)


def test_the_name_is_compared_before_the_graph_is_read(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    renamed = publish(tmp_path, "net", 1).parent.rename(tmp_path / "renamed") / "1"
    with pytest.raises(ArtifactError, match="a model named 'net', but the model's folder is 'renamed'"):
        load(runtime, renamed)
    assert runtime.loads == []


def test_a_model_or_a_version_may_be_a_link(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(plain.parent)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "7").symlink_to(plain)
    for version_dir in (tmp_path / "alias" / "1", tmp_path / "net" / "7"):
        assert load(OpenVinoRuntime(), version_dir).max_batch == 1


# the cache of conversions, with OpenVINO


def answer(cache_dir: Path, version_dir: Path) -> NDArray[np.float32]:
    answers = reference_answers.read(version_dir, artifact.read_card(version_dir))
    assert answers is not None
    return predict(load(OpenVinoRuntime(cache_dir=cache_dir), version_dir), answers.images)


def conversion(cache_dir: Path) -> Path:
    (path,) = cache_dir.glob("*.xml")
    return path


def change_a_weight(path: Path) -> None:
    weights = np.fromfile(path.with_suffix(".bin"), np.float32, count=path.with_suffix(".bin").stat().st_size // 4)
    weights[np.abs(weights).argmax()] += 100
    weights.tofile(path.with_suffix(".bin"))


@pytest.fixture
def other_conversion(tmp_path: Path) -> Path:
    """The conversion of another network with the same shapes."""

    def negate(model: Any) -> None:
        model.layers[-2].set_weights([-weights for weights in model.layers[-2].get_weights()])

    answer(tmp_path / "other cache", export(tmp_path / "other models", "net", change=negate))
    return conversion(tmp_path / "other cache")


def test_a_damaged_conversion_is_made_again(
    plain: Path, tmp_path: Path, other_conversion: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    sound = answer(cache, plain)
    path = conversion(cache)
    damages: list[Callable[[], object]] = [
        lambda: change_a_weight(path),
        lambda: path.write_bytes(other_conversion.read_bytes()),
        lambda: path.with_suffix(".bin").write_bytes(b""),
        path.unlink,
    ]
    for damage in damages:
        caplog.clear()
        damage()
        np.testing.assert_array_equal(answer(cache, plain), sound)
        assert damage is damages[-1] or "has been altered and is made again" in caplog.text
        caplog.clear()
        np.testing.assert_array_equal(answer(cache, plain), sound)
        assert caplog.text == ""


def test_a_wrong_conversion_with_right_checksums_is_refused(
    plain: Path, tmp_path: Path, other_conversion: Path
) -> None:
    cache = tmp_path / "cache"
    answer(cache, plain)
    path = conversion(cache)
    for suffix in (".xml", ".bin", ".json"):
        path.with_suffix(suffix).write_bytes(other_conversion.with_suffix(suffix).read_bytes())
    with pytest.raises(ArtifactError, match="does not answer like the exported model"):
        answer(cache, plain)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let files of this process grow to `size` bytes only, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_does_not_make_a_version_unavailable(
    plain: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with largest_file(1000):
        answers = answer(tmp_path / "cache", plain)
    np.testing.assert_array_equal(answers, answer(tmp_path / "cache", plain))
    assert "the conversion of net cannot be cached" in caplog.text
