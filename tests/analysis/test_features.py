"""Feature extractors return the last feature map of a network's stages, and strides follow from their shapes."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs import feature_extractor, feature_strides
from keras_archs.analysis.weightless import weightless
from keras_archs.layers import GroupedConv2D  # noqa: F401  # registers it for load_model
from keras_archs.layers.endpoints import endpoint
from tests.support.networks import photographs


def test_a_name_gives_the_last_map_of_each_stride_for_images_of_any_size() -> None:
    extractor = feature_extractor("efficientnet-b0")
    assert extractor.name == "efficientnetb0_features"
    assert extractor.input_shape == (None, None, None, 3)
    maps = extractor(np.zeros((2, 97, 64, 3), np.float32))
    assert {stage: tuple(array.shape) for stage, array in maps.items()} == {
        "stage1": (2, 49, 32, 16),
        "stage2": (2, 25, 16, 24),
        "stage3": (2, 13, 8, 40),
        "stage5": (2, 7, 4, 112),
        "stage7": (2, 4, 2, 320),
    }
    assert list(extractor.output) == ["stage1", "stage2", "stage3", "stage5", "stage7"]


@pytest.mark.parametrize(
    ("name", "stage", "side"),
    [
        ("densenet-121", "block4", (3, 4)),
        ("bn-inception", "inception5b", (3, 4)),
        ("densenet-40-12", "block3", (24, 32)),
        ("resnet-18", "stage4", (4, 5)),
    ],
)
def test_the_size_of_a_map_is_what_the_extractor_says_where_halving_leaves_a_remainder(
    name: str, stage: str, side: tuple[int, int]
) -> None:
    with weightless():
        shapes = feature_extractor(name).compute_output_shape((1, 97, 131, 3))
    assert tuple(shapes[stage][1:3]) == side
    stride = feature_strides(name)[stage]
    assert all(n in (pixels // stride, -(-pixels // stride)) for n, pixels in zip(side, (97, 131), strict=True))


def test_a_map_has_the_size_that_the_extractor_says() -> None:
    extractor = feature_extractor("densenet-40-12")
    shapes = extractor.compute_output_shape((1, 97, 131, 3))
    maps = extractor(np.zeros((1, 97, 131, 3), np.float32))
    assert {stage: tuple(array.shape) for stage, array in maps.items()} == shapes


def test_the_stages_of_each_family_are_those_of_its_table() -> None:
    assert feature_strides("resnet-18") == {"stem": 2, "stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
    assert feature_strides("densenet-40-12") == {"stem": 1, "block1": 1, "block2": 2, "block3": 4, "top": 4}
    assert feature_strides("mobilenet-v3-small-1.0") == (
        {"stem": 2, "stage1": 4, "stage2": 8, "stage3": 16, "stage4": 16, "stage5": 32, "top": 32}
    )


def test_a_map_is_the_output_of_the_last_layer_of_its_stage() -> None:
    """A block's activation after the addition; a dense block's concatenation; the stem before it is pooled."""
    with weightless():
        resnet, densenet = keras_archs.ResNet18(), keras_archs.DenseNet121()
        wide, inception = keras_archs.WideResNet16_4(), keras_archs.SEBNInception()
    for model, stage, layer in (
        (resnet, "stem", "stem_conv_relu"),
        (resnet, "stage2", "stage2_block2_relu"),
        (densenet, "block2", "block2_concat"),
        (densenet, "top", "top_relu"),
        (wide, "stem", "stem_conv"),
        (wide, "stage2", "stage2_block2_add"),
        (inception, "stem1", "stem1_relu"),
        (inception, "inception3c", "inception3c_se_excite"),
    ):
        extractor = feature_extractor(model, [stage])
        declaration = model.get_layer(f"{stage}_endpoint")
        assert extractor.output[stage] is declaration.output
        assert declaration.input is model.get_layer(layer).output


def test_strides_of_a_network_for_one_size_whose_layers_contain_models() -> None:
    with weightless():
        model = keras_archs.DenseNet40_12(memory_efficient=True)
        assert feature_strides(model) == {"stem": 1, "block1": 1, "block2": 2, "block3": 4, "top": 4}


def test_an_extractor_returns_any_stages_in_the_order_of_computation() -> None:
    extractor = feature_extractor("resnet-18", ("stage4", "stem"))
    assert list(extractor.output) == ["stem", "stage4"]
    assert feature_strides(extractor) == feature_strides("resnet-18")
    shallow = feature_extractor("resnet-18", ["stage1"])
    assert feature_strides(shallow) == {"stem": 2, "stage1": 4}
    assert shallow.count_params() < extractor.count_params() / 10


def test_a_model_shares_its_weights(calibrate: Callable[[keras.Model], keras.Model]) -> None:
    model = calibrate(keras_archs.ResNet18(input_shape=(64, 64, 3), prefix="left_", classifier_activation=None))
    extractor = feature_extractor(model, ["stage4"])
    assert extractor.input_shape == (None, 64, 64, 3)
    assert extractor.weights[0] is model.weights[0]
    head = model.get_layer("left_predictions")
    pooled = keras.ops.mean(extractor(photographs(64, 64))["stage4"], axis=(1, 2))
    np.testing.assert_allclose(head(pooled), model(photographs(64, 64)), rtol=1e-4, atol=1e-4)
    head.kernel.assign(np.zeros(head.kernel.shape))
    extractor.weights[0].assign(np.zeros(extractor.weights[0].shape))
    assert not np.asarray(model.get_layer("left_stem_conv").kernel).any()


def test_arguments_reach_the_builder() -> None:
    extractor = feature_extractor("mobilenet-0.25-128", ["stage5"], input_shape=(None, 64, 1), prefix="stage1_")
    assert extractor.input_shape == (None, None, 64, 1)
    assert extractor.get_layer("stage1_stem_conv").filters == 8
    assert feature_strides(extractor)["stage5"] == 32
    trained = feature_extractor("efficientnet-lite0", ["stem"], weights="imagenet")
    reference = keras_archs.EfficientNetLite0(weights="imagenet")
    np.testing.assert_array_equal(trained.get_layer("stem_conv").kernel, reference.get_layer("stem_conv").kernel)


# Prefixes that contain names of stages, or the name that endpoints have.
PREFIXES = ["system_", "stem_", "stem1_", "top_", "stage1_", "block1_", "x_endpoint_", "stem_endpoint"]


@pytest.mark.parametrize("name", ["wide-resnet-16-4", "bn-inception", "mobilenet-v3-small-1.0"])
def test_a_prefix_changes_no_stage(name: str) -> None:
    with weightless():
        stages = feature_strides(keras_archs.create_model(name))
        for prefix in PREFIXES:
            model = keras_archs.create_model(name, prefix=prefix)
            assert feature_strides(model) == stages, prefix
            assert list(feature_extractor(model, list(stages)).output) == list(stages), prefix


@pytest.mark.parametrize("prefix", ["", "system_", "stage1_", "x_endpoint_"])
def test_a_loaded_network_has_its_stages(prefix: str, tmp_path: Path) -> None:
    model = keras_archs.ResNet20(prefix=prefix)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert feature_strides(loaded) == {"stem": 1, "stage1": 1, "stage2": 2, "stage3": 4}


@pytest.mark.parametrize("prefixes", [("left_", "right_"), ("a_", "a_b_"), ("a_b_", "a_"), ("", "stem_")])
def test_of_two_networks_in_one_graph_the_first_has_the_stages(prefixes: tuple[str, str]) -> None:
    images = keras.Input((128, 128, 3))
    with weightless():
        first = keras_archs.ResNet18(input_tensor=images, prefix=prefixes[0], include_top=False)
        second = keras_archs.DenseNet40_12(input_tensor=first.output, prefix=prefixes[1], include_top=False)
        both = keras.Model(images, second.output)
        assert feature_strides(both) == feature_strides(first)


def test_strides_are_those_of_the_images_that_the_graph_begins_with() -> None:
    images = keras.Input((None, None, 3))
    halved = keras.layers.AveragePooling2D(2)(images)
    assert feature_strides(keras_archs.ResNet18(input_tensor=halved, include_top=False))["stage4"] == 64


@keras.saving.register_keras_serializable(package="tests")
class Residual(keras.layers.Layer):
    """A block with its shortcut in one layer, which has no strides of its own."""

    def __init__(self, branch: keras.Model, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.branch = branch

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        return self.branch(inputs) + inputs[:, ::2, ::2]

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "branch": keras.saving.serialize_keras_object(self.branch)}

    @classmethod
    def from_config(cls, config: dict[str, object]) -> "Residual":
        return cls(keras.saving.deserialize_keras_object(config.pop("branch")), **config)


def test_strides_are_right_where_a_layer_contains_a_block() -> None:
    images = x = keras.Input((30, 30, 4))
    x = endpoint(keras.layers.Conv2D(4, 3, padding="same", name="stem_conv")(x), "stem")
    for stage in (1, 2):
        inputs = keras.Input((None, None, 4))
        branch = keras.Model(inputs, keras.layers.Conv2D(4, 3, 2, padding="same", name="stage2_conv")(inputs))
        x = endpoint(Residual(branch, name=f"stage{stage}_block")(x), f"stage{stage}")
    assert feature_strides(keras.Model(images, x)) == {"stem": 1, "stage1": 2, "stage2": 4}


def test_an_extractor_reloads(tmp_path: Path) -> None:
    extractor = feature_extractor("densenet-40-12", ["block1", "block3"], prefix="left_")
    extractor.save(tmp_path / "extractor.keras")
    loaded = keras.models.load_model(tmp_path / "extractor.keras", safe_mode=True)
    assert feature_strides(loaded) == {"stem": 1, "block1": 1, "block2": 2, "block3": 4}
    ours, theirs = (model(photographs(33, 32)) for model in (extractor, loaded))
    assert list(ours) == list(theirs) == ["block1", "block3"]
    for stage in ours:
        np.testing.assert_array_equal(ours[stage], theirs[stage])
    again = feature_extractor(loaded, ["block2"])
    assert tuple(again(photographs(33, 32))["block2"].shape) == (2, 16, 16, 304)


@pytest.mark.parametrize("stages", [["stage4", "stage5"], [], "stage4"])
def test_unknown_stages_are_refused_with_the_existing_ones(stages: list[str]) -> None:
    with pytest.raises(ValueError) as error:
        feature_extractor("resnet-18", stages)
    assert f"stages={stages!r}" in str(error.value)
    assert "'resnet18' has the stages ['stem', 'stage1', 'stage2', 'stage3', 'stage4']" in str(error.value)


def test_models_without_stages_and_arguments_without_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'sequential.*' has no stages"):
        feature_extractor(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]))
    with pytest.raises(TypeError, match=r"\['weights'\] are arguments for a name .* 'resnet18' is built already"):
        feature_extractor(keras_archs.ResNet18(), weights="imagenet")
