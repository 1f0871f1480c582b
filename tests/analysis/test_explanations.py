"""Explanations are exact where they claim to be, highlight the object, and are refused where they are undefined."""

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import keras_archs
from tests.support.networks import photographs

Floats = NDArray[np.float32]

LITE0 = "efficientnet-lite0"


@pytest.fixture(scope="module")
def lite0() -> keras.Model:
    return keras_archs.create_model(LITE0, weights="imagenet")


def crops(*names: str) -> NDArray[np.uint8]:
    size = keras_archs.model_card(LITE0).preprocessing.size
    return np.stack([np.asarray(Image.fromarray(getattr(data, name)()).resize(size)) for name in names])


def normalised(pixels: NDArray[np.uint8]) -> Floats:
    return keras_archs.model_card(LITE0).preprocessing.normalize(pixels)


def test_a_map_adds_up_to_the_logit(lite0: keras.Model) -> None:
    """The mean over all positions plus the bias equals the class's logit."""
    images = normalised(crops("coffee", "chelsea"))
    maps, classes = keras_archs.class_activation_map(lite0, images)
    assert classes.tolist() == [967, 285]
    head = lite0.layers[-1]
    pooled = np.asarray(keras.Model(lite0.input, head.input)(images))
    logits = pooled @ np.asarray(head.kernel) + np.asarray(head.bias)
    expected = [logits[0, 967], logits[1, 285]]
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + np.asarray(head.bias)[classes], expected, rtol=1e-4)


@pytest.mark.parametrize("half", ["left", "right"])
def test_the_map_is_high_where_the_object_is(lite0: keras.Model, half: str) -> None:
    """Beside a grey half, an espresso gets at least 70 % of the map."""
    (coffee,) = crops("coffee")
    height, width, _ = coffee.shape
    small = np.asarray(Image.fromarray(coffee).resize((width // 2, height // 2)))
    canvas = np.full_like(coffee, 127)
    start = 0 if half == "left" else width // 2
    canvas[height // 4 : height // 4 + height // 2, start : start + width // 2] = small
    for explain in (keras_archs.class_activation_map, keras_archs.grad_cam):
        (heat,), (found,) = explain(lite0, normalised(canvas[np.newaxis]), [967])
        positive = np.maximum(heat, 0)
        sides = positive[:, :3].sum(), positive[:, 4:].sum()
        assert found == 967
        assert max(sides) / sum(sides) > 0.7
        assert (sides[0] > sides[1]) == (half == "left")


def test_before_the_pooling_grad_cam_is_the_exact_map(lite0: keras.Model) -> None:
    """Selvaraju et al. 2016, section 3.1: Grad-CAM generalises class activation maps."""
    images = normalised(crops("coffee", "chelsea"))
    exact, _ = keras_archs.class_activation_map(lite0, images, [967, 285])
    approximate, _ = keras_archs.grad_cam(lite0, images, [967, 285])
    places = exact.shape[1] * exact.shape[2]  # the pooling divides its gradient by this number
    np.testing.assert_allclose(approximate * places, np.maximum(exact, 0), rtol=1e-3, atol=1e-3)


def test_grad_cam_at_any_depth_of_any_network() -> None:
    images = photographs(64, 64)
    model = keras_archs.MobileNetV3Small(input_shape=(64, 64, 3), classes=5)
    model.trainable = False  # gradients are of the image, not of weights
    maps, _ = keras_archs.grad_cam(model, images, layer="stage2_block1_expand_conv")
    assert maps.shape == (2, 16, 16)
    assert maps.min() >= 0
    with pytest.raises(ValueError, match=r"does not end in global average pooling and a dense layer.*grad_cam"):
        keras_archs.class_activation_map(model, images)
    with pytest.raises(ValueError, match=r"no layer 'predictions' with feature maps; the last is 'top_activation'"):
        keras_archs.grad_cam(model, images, layer="predictions")


@pytest.mark.parametrize("classes", [[1], [1, 1000], [1, -1], [0.5, 1.0]])
def test_invalid_classes_are_refused(lite0: keras.Model, classes: list[int]) -> None:
    images = normalised(crops("coffee", "chelsea"))
    for explain in (keras_archs.class_activation_map, keras_archs.grad_cam):
        with pytest.raises(ValueError, match=r"2 numbers from 0 to 999, one for each image; got"):
            explain(lite0, images, classes)


def test_the_overlay_colours_high_values_of_the_map() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    heat = np.zeros((4, 6), np.float32)
    heat[3, 5] = 2.5
    picture = np.asarray(keras_archs.overlay(image, heat))
    assert picture.shape == image.shape
    assert (picture[:10, :30] == 100).all()
    assert picture[-1, -1].tolist() != [100, 100, 100]
    np.testing.assert_array_equal(keras_archs.overlay(image, np.ones((2, 2))), image)  # a constant map changes nothing
    with pytest.raises(ValueError, match=r"got \(40, 60\) and \(4, 6\)"):
        keras_archs.overlay(image[..., 0], heat)
    with pytest.raises(ValueError, match="from 0 to 1; got 3"):
        keras_archs.overlay(image, heat, strength=3)


def test_excitations_are_the_gates_that_scale_the_channels() -> None:
    model = keras_archs.SEResNet18(input_shape=(64, 64, 3))
    images = photographs(64, 64)
    gates = keras_archs.squeeze_excitations(model, images)
    assert list(gates) == [f"stage{stage}_block{block}" for stage in (1, 2, 3, 4) for block in (1, 2)]
    block = model.get_layer("stage2_block1_se_excite")
    before, after = keras.Model(model.input, [block.input[0], block.output])(images)
    np.testing.assert_allclose(np.asarray(before) * gates["stage2_block1"][:, None, None, :], after, rtol=1e-5)
    with pytest.raises(ValueError, match="no squeeze-and-excitation blocks"):
        keras_archs.squeeze_excitations(keras_archs.ResNet18(), images)


@pytest.mark.parametrize(("name", "unit", "depth"), [("40-12", "growth", 12), ("bc-100-12", "bottleneck", 16)])
def test_feature_reuse_is_the_mean_absolute_weight_between_two_layers(name: str, unit: str, depth: int) -> None:
    model = keras_archs.create_model(f"densenet-{name}")
    convolution = model.get_layer(f"block2_layer3_{unit}_conv")
    kernel = np.zeros(convolution.kernel.shape, np.float32)
    kernel[:, :, -12:] = -0.5  # uses the maps of layer 2 only
    convolution.kernel.assign(kernel)
    reuse = keras_archs.feature_reuse(model)
    assert [matrix.shape[0] for matrix in reuse.values()] == [depth + 1, depth + 1, depth]
    np.testing.assert_array_equal(reuse["block2"][:4, 2], [0, 0, 0.5, np.nan])
    with pytest.raises(ValueError, match="no dense blocks"):
        keras_archs.feature_reuse(keras_archs.ResNet18(include_top=False))


def test_plots_of_excitations_and_feature_reuse() -> None:
    images = photographs(64, 64)
    gates = keras_archs.squeeze_excitations(keras_archs.SEResNet18(input_shape=(64, 64, 3)), images)
    figure = keras_archs.plot_excitations(gates, ["coffee", "cat"])
    assert [panel.get_title() for panel in figure.axes] == list(gates)
    assert all(len(panel.lines) == 2 for panel in figure.axes)
    figure = keras_archs.plot_feature_reuse(keras_archs.feature_reuse(keras_archs.DenseNet40_12()))
    assert [panel.get_title() for panel in figure.axes[:3]] == ["block1", "block2", "block3"]


def test_the_means_of_squeeze_and_excitation_are_not_feature_maps() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="maps")(inputs)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="squeezed")(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(ValueError, match="the last is 'maps'"):
        keras_archs.grad_cam(model, np.zeros((1, 8, 8, 3), np.float32), layer="squeezed")
