"""Costs are computed from the graph; unknown costs are None, not 0."""

import csv
import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers
from matplotlib.patches import Rectangle

import keras_archs
from keras_archs.analysis.cost import COSTS, profile
from keras_archs.analysis.multiply_adds import _IDENTITIES
from keras_archs.analysis.weightless import weightless


def test_the_published_table_has_a_row_for_each_network() -> None:
    """The tests over the registry compute the values of the rows."""
    with COSTS.open(encoding="utf-8") as table:
        assert [row["name"] for row in csv.DictReader(table)] == keras_archs.list_models()


def one_layer(layer: keras.Layer, shape: tuple[int, ...] = (8, 10, 6)) -> int | None:
    result = profile(keras.Sequential([keras.Input(shape), layer]))
    assert len(result.layers) == 1
    return result.macs


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (layers.Conv2D(4, 3, padding="same"), 80 * 9 * 6 * 4),
        (layers.Conv2D(4, 3, padding="valid"), 6 * 8 * 9 * 6 * 4),
        (layers.Conv2D(4, 3, strides=2, padding="same", groups=2), 20 * 9 * 3 * 4),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 80 * 9 * 12),
        (layers.SeparableConv2D(4, 3, padding="same", depth_multiplier=2), 80 * (9 * 12 + 12 * 4)),
        (layers.Conv2DTranspose(4, 2, strides=2), 80 * 4 * 6 * 4),
        (layers.Dense(5), 80 * 6 * 5),
        (layers.BatchNormalization(), 0),
        (layers.PReLU(), 0),
        (layers.ReLU(), 0),
        (layers.EinsumDense("abcd,de->abce", (8, 10, 5)), None),
        (layers.TimeDistributed(layers.Dense(5)), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_multiply_adds_of_a_layer(layer: keras.Layer, macs: int | None) -> None:
    assert one_layer(layer) == macs


def test_one_and_three_dimensions_and_channels_first() -> None:
    assert one_layer(layers.Conv1D(4, 3, padding="same"), (10, 6)) == 10 * 3 * 6 * 4
    assert one_layer(layers.Conv3D(4, 3, padding="same"), (2, 8, 10, 6)) == 160 * 27 * 6 * 4
    first = layers.Conv2D(4, 3, padding="same", data_format="channels_first")
    assert one_layer(first, (6, 8, 10)) == 80 * 9 * 6 * 4


def test_compiling_a_model_changes_no_cost() -> None:
    images = keras.Input((8, 10, 6))
    model = keras.Model(images, layers.Dense(2)(layers.Flatten()(images)))
    before = profile(model)
    model.compile(keras.optimizers.Adam(), "mse")
    assert profile(model) == before


def test_one_unknown_layer_makes_the_total_unknown() -> None:
    model = keras.Sequential([keras.Input((4, 6)), layers.Dense(3), layers.LSTM(2)])
    result = profile(model)
    assert [layer.macs for layer in result.layers] == [4 * 6 * 3, None]
    assert result.macs is None
    assert result.parameters == model.count_params()


def test_identity_layers_cost_nothing() -> None:
    """Ends of stages, and placeholders of dropout with a rate of 0."""
    images = keras.Input((8, 8, 3))
    features = layers.Conv2D(4, 3, name="conv")(images)
    plain = keras.Model(images, layers.ReLU(name="relu")(features))
    declared = keras.Model(images, layers.Identity()(layers.ReLU(name="relu")(layers.Identity()(features))))
    assert profile(declared) == profile(plain)
    model = keras_archs.ResNet20()
    assert {layer.name for layer in model.layers if isinstance(layer, layers.Identity)} >= {
        "stem_endpoint", "stage3_endpoint", "stage1_block1_drop"
    }  # fmt: skip
    assert "Identity" not in {layer.kind for layer in profile(model).layers}


def test_nested_models_are_taken_apart_and_shared_layers_count_per_use() -> None:
    inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 1, name="shared")])
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, inner(inner(inputs)) + inputs)
    result = profile(model)
    assert [layer.name for layer in result.layers if layer.kind == "Conv2D"] == ["shared", "shared"]
    assert result.macs == 2 * 16 * 9
    assert result.parameters == 12


def test_another_size_and_frozen_layers() -> None:
    model = keras_archs.EfficientNetB0(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="input_shape"):
        profile(model)
    assert profile(model, (224, 224, 3)).macs == 385_814_752
    model.trainable = False
    frozen = profile(model, (448, 448, 3))
    assert frozen.macs is not None
    # The cost of all layers but the classifier and squeeze-and-excitation grows with the area.
    assert 3.97 < frozen.macs / 385_814_752 < 4
    assert (frozen.trainable, frozen.parameters) == (0, 5_330_564)


def counted_by_hand(model: keras.Model) -> int:
    """The multiply-adds from the shapes of each layer's kernel and output, without `keras_archs.analysis.cost`."""
    macs = 0
    for layer in model._flatten_layers(include_self=False):
        match type(layer).__name__:
            case "Conv2D":
                macs += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
            case "DepthwiseConv2D":
                macs += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
            case "Dense":
                macs += math.prod(layer.kernel.shape)
    return macs


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ResNet50V2"])
def test_networks_of_keras_applications(name: str) -> None:
    with weightless():
        model = getattr(keras.applications, name)(weights=None, input_shape=(224, 224, 3))
    result = profile(model)
    assert result.macs == counted_by_hand(model)
    assert result.parameters == model.count_params()


def test_products_without_weights_are_unknown() -> None:
    """A custom layer may compute anything; matrix products are operations without weights."""

    class Custom(layers.Layer):
        def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
            return inputs @ inputs

    assert one_layer(Custom(), (4, 4)) is None
    inputs = keras.Input((4, 4))
    result = profile(keras.Model(inputs, keras.ops.relu(keras.ops.matmul(inputs, inputs)) + 1.0))
    assert [(layer.kind, layer.macs) for layer in result.layers if layer.macs != 0] == [("Matmul", None)]
    assert [layer.kind for layer in result.unknown] == ["Matmul"]
    assert "unknown: matmul (Matmul)" in str(result).splitlines()[-1]


def unknown(model: keras.Model) -> list[str]:
    result = profile(model)
    assert (result.macs is None) == bool(result.unknown)
    assert result.parameters == model.count_params()
    return [layer.kind for layer in result.unknown]


def test_a_network_with_augmentation_costs_what_it_computes_at_inference() -> None:
    """The model of Keras' guide to fine-tuning, functional and sequential."""
    base = keras_archs.MobileNet(alpha=0.25, include_top=False, input_shape=(64, 64, 3))
    augmentation = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)]
    images = x = keras.Input((64, 64, 3))
    for layer in [*augmentation, layers.Rescaling(1 / 127.5, -1)]:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    functional = keras.Model(images, layers.Dense(3)(layers.Dropout(0.2)(x)))
    pooling, dense = layers.GlobalAveragePooling2D(), layers.Dense(3)
    sequential = keras.Sequential([images, keras.Sequential(augmentation), base, pooling, dense])
    base_macs = profile(base).macs
    assert base_macs is not None
    for model in (functional, sequential):
        assert unknown(model) == []
        result = profile(model)
        assert result.macs == base_macs + 256 * 3
        assert not [layer.kind for layer in result.layers if layer.kind.startswith("Random")]


@pytest.mark.parametrize("name", sorted(kind.__name__ for kind in _IDENTITIES))
def test_a_layer_that_is_left_out_returns_its_input_at_inference(name: str) -> None:
    arguments: dict[str, tuple[object, ...]] = {"RandomPosterization": (2,)} | dict.fromkeys(
        ["RandomTranslation", "RandomShear"], (0.5, 0.5)
    )
    factor = ["Brightness", "Contrast", "Rotation", "Zoom", "ColorDegeneration", "Hue", "Saturation", "Sharpness"]
    arguments |= {f"Random{kind}": (0.9,) for kind in factor}
    images = keras.Input((16, 16, 3))
    layer = getattr(layers, name)(*arguments.get(name, ()))
    model = keras.Model(images, layer(images))
    assert profile(model).layers == ()
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(pixels, training=False), pixels)


class WithoutConfig(layers.Layer):
    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.kernel = self.add_weight(shape=(3, 3))

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.factor * (inputs @ self.kernel)


class Subclassed(keras.Model):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.dense = layers.Dense(units)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.dense(inputs)


class Iterated(keras.Model):
    """Has a graph, and computes more than the graph."""

    def call(self, inputs: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        return super().call(super().call(inputs))


def iterated() -> keras.Model:
    images = keras.Input((3, 3, 3))
    return Iterated(images, layers.Conv2D(3, 1)(images))


class Twice(layers.Conv2D):
    """Inherits from a layer with a rule, and computes more."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return super().call(inputs) + super().call(inputs + 1)


class Multiply(keras.Operation):
    """Has the name of an operation of Keras, and computes a product of matrices."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.matmul(inputs, inputs)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, inputs.dtype)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (layers.Lambda(lambda x: x @ x), "Lambda"),
        (keras.Sequential([keras.Input((3, 3, 3)), layers.Lambda(lambda x: 2 * x)]), "Lambda"),
        (WithoutConfig(3), "WithoutConfig"),
        (Subclassed(4), "Subclassed"),
        (iterated(), "Iterated"),
        (Twice(4, 3), "Twice"),
        (Multiply(), "Multiply"),
        (layers.Lambda(lambda x: x[:, 0]), "Lambda"),
        (lambda x: keras.ops.cdist(x[:, 0], x[:, 1]), "CDist"),
        (lambda x: keras.ops.fft2((x, x))[0], "FFT2"),
        (lambda x: keras.ops.cross(x, x + 1), "Cross"),
        (lambda x: keras.ops.kron(x, x), "Kron"),
        (keras.ops.inv, "Inv"),
        (lambda x: keras.ops.vectorized_map(lambda y: y @ y, x), "VectorizedMap"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_operation_that_is_not_known_is_unknown_and_not_free(
    operation: Callable[[keras.KerasTensor], keras.KerasTensor], kind: str
) -> None:
    images = keras.Input((3, 3, 3))
    model = keras.Model(images, layers.Dense(2)(layers.Dense(3)(operation(layers.ReLU()(images)))))
    assert unknown(model) == [kind]
    assert f"({kind})" in str(profile(model)).splitlines()[-1]


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: keras.ops.gelu(x * 2 - 1) / (1 + keras.ops.exp(-x)),
        lambda x: keras.ops.mean(keras.ops.transpose(x, (0, 2, 1, 3)), axis=(1, 2)),
        lambda x: keras.ops.concatenate([x[:, ::2], keras.ops.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]])], axis=1),
        lambda x: keras.ops.softmax(keras.ops.max_pool(x, 2)) ** 2,
        lambda x: keras.ops.where(x > 0, keras.ops.log1p(x), keras.ops.cast(x, "float32")),
    ],
)
def test_operations_that_move_compare_or_scale_numbers_cost_nothing(
    operation: Callable[[keras.KerasTensor], keras.KerasTensor],
) -> None:
    images = keras.Input((4, 4, 3))
    result = profile(keras.Model(images, operation(images)))
    assert result.layers
    assert result.macs == 0


def test_stages_are_the_sizes_of_the_feature_maps() -> None:
    result = profile(keras_archs.SEResNet18(input_shape=(64, 96, 3)))
    assert [stage.stage for stage in result.stages] == ["32x48", "16x24", "8x12", "4x6", "2x3", "head"]
    for quantity in ("macs", "parameters", "activations", "bytes_moved"):
        assert sum(getattr(stage, quantity) for stage in result.stages) == getattr(result, quantity)
    assert sum(stage.layers for stage in result.stages) == len(result.layers)


def test_activations_and_memory_traffic() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, use_bias=False, name="one")(inputs)
    two = layers.Conv2D(4, 1, use_bias=False, name="two")(inputs)
    result = profile(keras.Model(inputs, layers.Add(name="sum")([x, two])))
    cost = {layer.name: layer for layer in result.layers}
    assert cost["one"].activations == 8 * 8 * 4
    assert cost["one"].bytes_moved == 4 * (64 * 3 + 12 + 64 * 4)
    assert cost["sum"].bytes_moved == 4 * (3 * 64 * 4)  # two maps are read, one is written


def test_as_a_dataframe() -> None:
    result = profile(keras.Sequential([keras.Input((4, 6)), layers.Dense(3), layers.LSTM(2)]))
    table = result.to_dataframe()
    assert list(table["name"]) == [layer.name for layer in result.layers]
    assert table["macs"].isna().tolist() == [False, True]
    assert table["macs"].sum() == 72


def test_as_a_table() -> None:
    lines = str(profile(keras_archs.MobileNet(alpha=0.25, rho=128 / 224))).splitlines()
    assert lines[0].split() == ["stage", "layers", "parameters", "macs", "activations", "bytes", "moved"]
    assert lines[-1].split()[:4] == ["all", "84", "475,544", "13,570,048"]


def test_a_picture_shows_every_stage() -> None:
    figure = keras_archs.plot_cost(profile(keras_archs.MobileNet(alpha=0.25, rho=128 / 224)), "title")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "64x64", "32x32", "16x16", "8x8", "4x4", "head"
    ]  # fmt: skip
    widths = [round(bar.get_width(), 2) for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert widths == [1.7, 2.02, 1.79, 6.17, 1.63, 0.26]


def test_profiling_does_not_change_the_model() -> None:
    model = keras_archs.EfficientNetLite0(input_shape=(64, 64, 3), classes=2)
    before = model(np.ones((1, 64, 64, 3), np.float32))
    profile(model, (96, 96, 3))
    assert model.get_layer("stem_conv").output.shape == (None, 32, 32, 32)  # still one output per layer
    np.testing.assert_array_equal(model(np.ones((1, 64, 64, 3), np.float32)), before)


def test_models_without_a_graph_are_refused() -> None:
    for model in (Subclassed(2), iterated()):
        with pytest.raises(ValueError, match="functional and sequential"):
            profile(model)
