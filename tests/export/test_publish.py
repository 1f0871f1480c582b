"""`export_model` atomically publishes a SavedModel in TensorFlow Serving's layout, equal to the Keras model."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.export.frozen_weights import FrozenWeights
from keras_archs.export.publish import ExportedModel
from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository import artifact, models_config, publishing
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.checksums import verify
from tests.support.slow import slow_except

SMALL = Preprocessing(size=(32, 48), mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0), interpolation="bilinear")


def small_model(classes: int = 4, activation: str | None = "softmax") -> keras.Model:
    """Build a small model whose probabilities differ enough between images for a comparison."""
    keras.utils.set_random_seed(7)
    inputs = keras.Input((32, 48, 3))
    x = keras.layers.Conv2D(8, 3, activation="swish")(inputs)
    x = keras.layers.BatchNormalization(moving_mean_initializer="random_normal")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(
        classes, activation=activation, kernel_initializer=keras.initializers.RandomNormal(0, 3)
    )(x)
    return keras.Model(inputs, outputs)


def export(repository: Path, model: keras.Model | None = None, **arguments: Any) -> ExportedModel:
    defaults: dict[str, Any] = {"name": "small", "preprocessing": SMALL, "trained_on": "noise"}
    return keras_archs.export_model(model or small_model(), repository, **defaults | arguments)


@pytest.fixture(scope="module")
def images() -> np.ndarray[Any, np.dtype[np.uint8]]:
    noise = np.random.default_rng(1).integers(0, 256, (5, 32, 48, 3))
    return (noise * np.linspace(0.1, 1, 5)[:, None, None, None]).astype(
        np.uint8
    )  # different means give different answers


def signatures(path: Path) -> Any:
    loaded = tf.saved_model.load(str(path))
    return loaded, loaded.signatures  # the signatures do not keep the model alive


def test_probabilities_and_features_equal_the_keras_models(tmp_path: Path, images: Any) -> None:
    model = small_model()
    _, exported = signatures(export(tmp_path, model).path)
    normalised = SMALL.normalize(images)
    expected = model.predict(normalised, verbose=0)
    assert expected.std(axis=0).max() > 0.01
    found = exported["serving_default"](images=tf.constant(images))["probabilities"].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    features = exported["features"](images=tf.constant(images))["features"].numpy()
    pooled = keras.Model(model.inputs, model.layers[-2].output).predict(normalised, verbose=0)
    np.testing.assert_allclose(features, pooled, atol=1e-4)


def pooled(
    channels: int = 3, *, dropout: bool = False, trainable: bool = True, bias: bool = True, activation: str = "softmax"
) -> keras.Model:
    """Build a network that ends in global average pooling and a dense layer; the arguments choose its form."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((32, 48, channels))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = keras.layers.Dropout(0.5)(x)
    wide = keras.initializers.RandomNormal(0, 3)
    head = keras.layers.Dense(4, activation=activation, use_bias=bias, kernel_initializer=wide, trainable=trainable)
    return keras.Model(inputs, head(x))


@pytest.mark.parametrize(
    "form", [{}, {"channels": 1}, {"dropout": True}, {"trainable": False}, {"bias": False}, {"activation": "linear"}]
)
def test_explain_gives_the_class_activation_maps(tmp_path: Path, images: Any, form: dict[str, Any]) -> None:
    model, pixels = pooled(**form), images[..., : form.get("channels", 3)]
    preprocessing = Preprocessing((32, 48), SMALL.mean[: pixels.shape[-1]], SMALL.std[: pixels.shape[-1]])
    path = export(tmp_path, model, preprocessing=preprocessing).path
    _, exported = signatures(path)
    assert artifact.read_card(path).explains
    likeliest = [artifact.LIKELIEST] * len(pixels)
    for requested, encoded in ((None, likeliest), ([3, 0, 2, 1, 3], [3, 0, 2, 1, 3])):
        expected, classes = keras_archs.class_activation_map(model, preprocessing.normalize(pixels), requested)
        found = exported["explain"](images=tf.constant(pixels), classes=tf.constant(encoded, tf.int64))
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(found["maps"].numpy(), expected, atol=1e-4)
        np.testing.assert_array_equal(found["chosen"].numpy(), classes)
        probabilities = exported["serving_default"](images=tf.constant(pixels))["probabilities"]
        np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-6)


def test_explain_refuses_unknown_classes(tmp_path: Path, images: Any) -> None:
    _, exported = signatures(export(tmp_path, pooled()).path)
    for impossible in (4, -2):
        with pytest.raises(tf.errors.InvalidArgumentError):
            exported["explain"](images=tf.constant(images[:1]), classes=tf.constant([impossible], tf.int64))


def test_a_model_without_global_pooling_has_no_explain_signature(tmp_path: Path) -> None:
    inputs = keras.Input((32, 48, 3))
    flat = keras.layers.Dense(4, activation="softmax")(keras.layers.Flatten()(keras.layers.Conv2D(2, 9)(inputs)))
    path = export(tmp_path, keras.Model(inputs, flat)).path
    _, exported = signatures(path)
    assert "explain" not in exported
    card = artifact.read_card(path)
    assert not card.explains
    older = {key: value for key, value in card.to_json().items() if key != "explains"}
    assert ArtifactCard.from_json(older) == card  # cards from before the signature existed


def test_logits_become_probabilities(tmp_path: Path, images: Any) -> None:
    _, exported = signatures(export(tmp_path, small_model(activation=None)).path)
    _, reference = signatures(export(tmp_path, small_model()).path)
    for version in (exported, reference):
        total = version["serving_default"](images=tf.constant(images))["probabilities"].numpy().sum(axis=1)
        np.testing.assert_allclose(total, 1, atol=1e-5)
    np.testing.assert_allclose(
        exported["serving_default"](images=tf.constant(images))["probabilities"],
        reference["serving_default"](images=tf.constant(images))["probabilities"],
        atol=1e-5,
    )


def test_encoded_images_are_decoded_as_load_image_does(lite0_repository: Path, photographs: dict[str, bytes]) -> None:
    path = lite0_repository / "efficientnet-lite0" / "1"
    preprocessing = artifact.read_card(path).preprocessing
    _, exported = signatures(path)
    encoded = list(photographs.values())
    expected = exported["serving_default"](
        images=tf.constant(np.stack([load_image(image, preprocessing) for image in encoded]))
    )["probabilities"].numpy()
    found = exported["serving_bytes"](image_bytes=tf.constant(encoded))["probabilities"].numpy()
    # two JPEG decoders round differently
    np.testing.assert_allclose(found, expected, atol=0.03)

    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
            )
        ).SerializeToString()
        for image in encoded
    ]
    classified = exported["classify"](inputs=tf.constant(examples))
    assert set(classified) == {"classes", "scores"}
    assert classified["classes"].shape == (3, 5)
    assert classified["classes"][0, 0] == b"espresso"
    np.testing.assert_allclose(classified["scores"].numpy()[:, 0], found.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(100, 160), (33, 500), (32, 48), (20, 30)])
def test_decoding_in_the_graph_has_the_same_geometry(interpolation: Any, shape: tuple[int, int]) -> None:
    from PIL import Image

    from keras_archs.export.signatures import decode_image
    from tests.support.images import encode

    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(noise).resize(shape[::-1], Image.Resampling.BICUBIC))
    encoded = encode(smooth, "PNG")
    preprocessing = Preprocessing((32, 48), (0.0,) * 3, (1.0,) * 3, 0.8, interpolation)
    found = decode_image(tf.constant(encoded), preprocessing).numpy().astype(int)
    assert np.abs(found - load_image(encoded, preprocessing)).max() <= 2


CLEAN_PROCESS = """
import sys, numpy as np
images, path, runtime, out = np.load(sys.argv[1]), *sys.argv[2:]
if runtime == "tensorflow":
    import tensorflow as tf
    model = tf.saved_model.load(path)
    answer = model.signatures["serving_default"](images=tf.constant(images))["probabilities"].numpy()
else:
    sys.modules["openvino_telemetry"] = None  # it would write into the home of whoever runs the tests
    import openvino as ov
    answer = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)[0]
assert not [name for name in sys.modules if name.startswith("keras_archs")]
assert ("tensorflow" in sys.modules) == (runtime == "tensorflow")
np.save(out, answer)
"""


@pytest.mark.parametrize("name", slow_except(["efficientnet-lite0"], ["efficientnet-lite0", "efficientnet-b0"]))
def test_a_clean_process_without_this_package_gives_the_same_answers(
    tmp_path: Path, photographs: dict[str, bytes], name: str
) -> None:
    keras.utils.set_random_seed(3)
    weights = "imagenet" if name == "efficientnet-lite0" else None
    model = keras_archs.create_model(name, weights=weights)
    exported = keras_archs.export_model(model, tmp_path, name=name, allow_untrained=True)
    preprocessing = artifact.read_card(exported.path).preprocessing
    images = np.stack([load_image(image, preprocessing) for image in photographs.values()])
    np.save(tmp_path / "images.npy", images)
    expected = model.predict(preprocessing.normalize(images), verbose=0)
    for runtime in ("tensorflow", "openvino"):
        command = [sys.executable, "-c", CLEAN_PROCESS, "images.npy", str(exported.path), runtime, f"{runtime}.npy"]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
        np.testing.assert_allclose(np.load(tmp_path / f"{runtime}.npy"), expected, atol=1e-4)


def test_the_graph_holds_each_weight_once_and_no_xla_compiled_function(lite0_repository: Path) -> None:
    path = lite0_repository / "efficientnet-lite0" / "1"
    weights = 4 * 4_694_024
    assert weights < (path / artifact.SAVED_MODEL).stat().st_size < 1.05 * weights
    assert sum(file.stat().st_size for file in (path / "variables").iterdir()) < 1000
    saved = saved_model_pb2.SavedModel.FromString((path / artifact.SAVED_MODEL).read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    assert not [function.signature.name for function in functions if function.attr["_XlaMustCompile"].b]


EXPORT = """
import re, sys
import keras_archs
from keras_archs.export.frozen_weights import FrozenWeights
from keras_archs.export.publish import export_model

def status(field):
    (kib,) = re.findall(rf"{field}:\\s+([0-9]+) kB", open("/proc/self/status").read())
    return 1024 * int(kib)

model = keras_archs.ResNet18()
before = status("VmRSS")
export_model(model, sys.argv[1], name="resnet-18", allow_untrained=True)
print((status("VmHWM") - before) / (4 * model.count_params()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, which tells the peak, is Linux only")
def test_exporting_takes_memory_for_a_few_copies_of_the_weights(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EXPORT, str(tmp_path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    assert float(done.stdout) < 8  # tf.saved_model.save of the weights themselves takes 25


def test_weights_above_the_limit_of_a_saved_model_are_refused(tmp_path: Path) -> None:
    weights = FrozenWeights()
    with weightless(), tf.Graph().as_default():  # so that 4 GiB of weights take no memory
        weights.zeros([keras.Variable(initializer="zeros", shape=(2**29, 2))])
    with pytest.raises(ValueError, match=r"at most [0-9,]+ bytes; these have 4,294,967,296"):
        weights.write_into(tmp_path)


def test_the_signatures_are_those_of_the_contract(lite0_repository: Path) -> None:
    _, exported = signatures(lite0_repository / "efficientnet-lite0" / "1")
    described = {
        name: (signature.structured_input_signature[1], signature.structured_outputs)
        for name, signature in exported.items()
        if not name.startswith("__")
    }
    assert set(described) == {"serving_default", "serving_bytes", "classify", "features", "explain"}
    ((name, images),) = described["serving_default"][0].items()
    assert (name, images.dtype, images.shape.as_list()) == ("images", tf.uint8, [None, 224, 224, 3])
    probabilities = described["serving_default"][1]["probabilities"]
    assert (probabilities.dtype, probabilities.shape.as_list()) == (tf.float32, [None, 1000])
    assert list(described["serving_bytes"][0]) == ["image_bytes"]
    assert list(described["classify"][0]) == ["inputs"]
    assert described["features"][1]["features"].shape.as_list() == [None, 1280]
    inputs, outputs = (
        {name: (spec.dtype, spec.shape.as_list()) for name, spec in side.items()} for side in described["explain"]
    )
    assert inputs == {"images": (tf.uint8, [None, 224, 224, 3]), "classes": (tf.int64, [None])}
    assert outputs == {
        "maps": (tf.float32, [None, 7, 7]),
        "chosen": (tf.int64, [None]),
        "probabilities": (tf.float32, [None, 1000]),
    }


def test_warmup_records_replay(lite0_repository: Path) -> None:
    path = lite0_repository / "efficientnet-lite0" / "1"
    _, exported = signatures(path)
    records = list(tf.data.TFRecordDataset(str(path / artifact.WARMUP)).as_numpy_iterator())
    assert 0 < len(records) <= 1000
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "efficientnet-lite0"
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert exported[request.model_spec.signature_name](**inputs)["probabilities"].shape[1] == 1000


def test_the_card_describes_the_version(lite0_repository: Path) -> None:
    path = lite0_repository / "efficientnet-lite0" / "1"
    card = artifact.read_card(path)
    verify(path, card)
    assert card.preprocessing == keras_archs.model_card("efficientnet-lite0").preprocessing
    assert card.labels == keras_archs.imagenet_labels()
    assert card.architecture == {"builder": "EfficientNetLite0", "arguments": {}}
    assert card.weights.trained
    assert card.weights.sha256 is not None and len(card.weights.sha256) == 64
    assert set(card.producer) == {"keras-archs", "keras", "tensorflow"}
    assert (path / artifact.LABELS).read_text().splitlines()[967] == "espresso"
    assert ArtifactCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_an_altered_file_fails_the_verification(tmp_path: Path) -> None:
    path = export(tmp_path).path
    graph = path / artifact.SAVED_MODEL
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"saved_model\.pb missing or altered"):
        verify(path, artifact.read_card(path))


def test_untrained_weights_are_published_only_on_request_and_marked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trained_on=.*allow_untrained=True"):
        export(tmp_path, trained_on=None)
    assert not (tmp_path / "small").exists()
    card = artifact.read_card(export(tmp_path, trained_on=None, allow_untrained=True).path)
    assert (card.weights.trained, card.weights.source) == (False, "none")
    assert card.labels[0].name == "class 0"


def test_versions_count_up_and_are_never_overwritten(tmp_path: Path) -> None:
    model = small_model()
    assert [export(tmp_path, model).version, export(tmp_path, model, version=7).version] == [1, 7]
    before = (tmp_path / "small" / "7" / artifact.SAVED_MODEL).read_bytes()
    with pytest.raises(FileExistsError, match="version 7 of 'small' exists already"):
        export(tmp_path, small_model(), version=7)
    assert (tmp_path / "small" / "7" / artifact.SAVED_MODEL).read_bytes() == before
    (tmp_path / "small" / "8").mkdir()
    (tmp_path / "small" / "8" / "not a SavedModel").touch()
    assert export(tmp_path, model).version == 9
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == ["1", "7", "8", "9"]


def test_versions_with_leading_zeros_count_too(tmp_path: Path) -> None:
    (tmp_path / "small" / "00000020").mkdir(parents=True)
    (tmp_path / "small" / "00000020" / artifact.SAVED_MODEL).touch()
    (tmp_path / "small" / "30").symlink_to(tmp_path / "small" / "30")  # cannot be read, as without permission
    with pytest.raises(FileExistsError, match="version 20 of 'small' exists already"):
        export(tmp_path, version=20)
    assert export(tmp_path).version == 31


def test_an_existing_models_config_gets_an_entry(tmp_path: Path) -> None:
    export(tmp_path)
    assert not (tmp_path / models_config.CONFIG).exists()
    (tmp_path / models_config.CONFIG).write_text("model_config_list {")
    with pytest.raises(ValueError, match=models_config.CONFIG):
        export(tmp_path, name="other")
    assert not (tmp_path / "other").exists()
    (tmp_path / models_config.CONFIG).write_text(
        "model_config_list { config { name: 'small' base_path: '/models/small'"
        " model_version_policy { specific { versions: 1 } } } }"
    )
    small, other = (export(tmp_path, name=name) for name in ("small", "other"))
    assert small.not_served is not None and "the policy specific=1 of small" in small.not_served
    assert other.not_served is None
    config = models_config.read(tmp_path)
    assert config is not None
    assert [(entry.name, entry.base_path) for entry in config.model_config_list.config] == [
        ("small", "/models/small"),
        ("other", "/models/other"),
    ]


def test_concurrent_exports_get_different_versions(tmp_path: Path) -> None:
    model = small_model()
    with ThreadPoolExecutor(4) as pool:
        versions = [exported.version for exported in pool.map(lambda _: export(tmp_path, model), range(4))]
    assert sorted(versions) == [1, 2, 3, 4]


def test_a_half_written_version_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    flush = publishing._flush

    def flush_late(folder: Path) -> None:
        assert (folder / artifact.SAVED_MODEL).exists()
        seen.append(artifact.published_versions(folder.parent))
        flush(folder)

    monkeypatch.setattr(publishing, "_flush", flush_late)
    export(tmp_path)
    assert seen == [[]]

    def full_disk(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "_flush", full_disk)
    with pytest.raises(OSError, match="No space left"):
        export(tmp_path)
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["1"]


def test_published_files_are_readable_by_other_users(tmp_path: Path) -> None:
    assert export(tmp_path).path.stat().st_mode & 0o555 == 0o555


def test_a_loaded_model_needs_explicit_preprocessing(tmp_path: Path) -> None:
    model = keras_archs.MobileNet(alpha=0.25, classes=5, input_shape=(64, 64, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="preprocessing="):
        export(tmp_path, loaded, preprocessing=None)
    # the builder's own model knows its preprocessing, at the size it was built with
    exported = export(tmp_path, model, preprocessing=None)
    assert artifact.read_card(exported.path).preprocessing.size == (64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "../escape"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"version": 0}, "from 1 to"),
        ({"version": 2**63}, "from 1 to"),
        ({"labels": ["a", "b"]}, "4 classes, but 2 labels"),
        ({"labels": ["a", "b", "", "d"]}, "one non-empty line"),
        ({"preprocessing": Preprocessing((32, 32), (0.0,), (1.0,))}, r"\(32, 32, 1\)"),
    ],
)
def test_invalid_arguments_are_refused_with_the_allowed_values(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export(tmp_path, **arguments)
    assert not list(tmp_path.rglob("*"))


def test_a_model_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[N, classes\]"):
        export(tmp_path, keras_archs.EfficientNetLite0(include_top=False))
    for model in (keras.Sequential([keras.layers.Dense(4)]), keras.Model()):
        with pytest.raises(ValueError, match="functional or built Sequential"):
            export(tmp_path, model)


def test_a_model_that_contains_another_model_can_be_exported(tmp_path: Path, images: Any) -> None:
    body = keras_archs.MobileNet(alpha=0.25, include_top=False, pooling="avg", input_shape=(32, 48, 3))
    model = keras.Sequential([keras.Input((32, 48, 3)), body, keras.layers.Dropout(0.5), keras.layers.Dense(4)])
    _, exported = signatures(export(tmp_path, model).path)
    expected = keras.ops.softmax(model.predict(SMALL.normalize(images), verbose=0))
    found = exported["serving_default"](images=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert exported["features"](images=tf.constant(images))["features"].shape == (5, 256)


def test_an_export_changes_neither_weights_nor_the_number_of_threads(tmp_path: Path, images: Any) -> None:
    model = small_model()
    before, threads = [value.copy() for value in model.get_weights()], threading.active_count()
    export(tmp_path, model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert threading.active_count() <= threads + 1
