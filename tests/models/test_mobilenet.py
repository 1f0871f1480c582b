"""MobileNet gives the logits of the reference implementation, at every alpha and rho of its authors."""

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.analysis.cost import profile
from keras_archs.cards.origin import origin_of
from keras_archs.models.mobilenet import scaled_filters
from tests.support.networks import assert_same, photographs, relative_distance, share_weights
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]

# Parameters and multiply-adds of each convolution, from the head of TF-slim's mobilenet_v1.py.
SLIM_100_224 = [
    *((864, 10_838_016), (288, 3_612_672), (2_048, 25_690_112), (576, 1_806_336), (8_192, 25_690_112)),
    *((1_152, 3_612_672), (16_384, 51_380_224), (1_152, 903_168), (32_768, 25_690_112)),
    *((2_304, 1_806_336), (65_536, 51_380_224), (2_304, 451_584), (131_072, 25_690_112)),
    *(((4_608, 903_168), (262_144, 51_380_224)) * 5),
    *((4_608, 225_792), (524_288, 25_690_112), (9_216, 451_584), (1_048_576, 51_380_224)),
]


def with_same_padding(model: keras.Model) -> keras.Model:
    """Replace the padding of keras.applications: a pixel at bottom and right, which is SAME for even sizes only."""

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.layers.ZeroPadding2D):
            return keras.layers.Identity(name=layer.name)
        changes = {"padding": "same"} if isinstance(layer, keras.layers.DepthwiseConv2D) else {}
        return layer.__class__.from_config(layer.get_config() | changes)

    return keras.models.clone_model(model, clone_function=clone)


@pytest.mark.parametrize("alpha", slow_except([0.25], [1.0, 0.75, 0.25]))
def test_parity_with_keras_applications(alpha: float, calibrate: Calibrate) -> None:
    """With equal weights the logits agree, although ours is built for any size and theirs for a fixed size."""
    ours = calibrate(keras_archs.MobileNet(alpha=alpha, input_shape=(None, None, 3), classifier_activation=None))
    for height, width in [(224, 224), (160, 96), (161, 113)]:
        theirs = keras.applications.MobileNet(
            alpha=alpha, weights=None, input_shape=(height, width, 3), classifier_activation=None
        )
        theirs = theirs if height % 32 == 0 else with_same_padding(theirs)
        share_weights(ours, theirs)
        images = photographs(height, width)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images)), tolerance=1e-4)


def test_the_tolerance_detects_padding_that_is_not_same_at_odd_sizes(calibrate: Calibrate) -> None:
    ours = calibrate(keras_archs.MobileNet(alpha=0.5, input_shape=(161, 113, 3), classifier_activation=None))
    theirs = keras.applications.MobileNet(
        alpha=0.5, weights=None, input_shape=(161, 113, 3), classifier_activation=None
    )
    share_weights(ours, theirs)
    images = photographs(161, 113)
    assert relative_distance(np.asarray(ours(images)), np.asarray(theirs(images))) > 0.1


def test_full_convolutions_for_any_size_equal_those_for_this_size(calibrate: Calibrate) -> None:
    arguments: dict[str, Any] = {"alpha": 0.25, "separable": False, "classifier_activation": None}
    flexible = calibrate(keras_archs.MobileNet(input_shape=(None, None, 3), **arguments))
    for shape in ((224, 224), (113, 161)):
        fixed = keras_archs.MobileNet(input_shape=(*shape, 3), **arguments)
        fixed.set_weights(flexible.get_weights())
        images = photographs(*shape)
        assert_same(np.asarray(flexible(images)), np.asarray(fixed(images)), tolerance=1e-5)


def test_each_convolution_costs_what_the_authors_list() -> None:
    convolutions = [
        (layer.parameters, layer.macs) for layer in profile(keras_archs.MobileNet()).layers if "Conv" in layer.kind
    ]
    assert convolutions == SLIM_100_224
    narrow = profile(keras_archs.MobileNet(alpha=0.75, rho=128 / 224, include_top=False), (128, 128, 3))
    assert (sum(layer.parameters for layer in narrow.layers if "Conv" in layer.kind), narrow.macs) == (
        1_800_144,
        106_002_432,
    )


@pytest.mark.parametrize(
    ("alpha", "macs"),
    [
        (1.0, (568_740_352, 418_121_728, 290_675_200, 186_400_768)),
        (0.75, (325_400_448, 239_273_472, 166_396_800, 106_770_432)),
        (0.5, (149_497_088, 109_970_432, 76_524_800, 49_160_192)),
        (0.25, (41_030_272, 30_212_608, 21_059_200, 13_570_048)),
    ],
)
def test_the_whole_grid_of_widths_and_sizes(alpha: float, macs: tuple[int, ...]) -> None:
    sizes = (224, 192, 160, 128)
    costs = [keras_archs.model_card(f"mobilenet-{alpha}-{size}").cost for size in sizes]
    assert [cost.size for cost in costs] == [(size, size) for size in sizes]
    assert tuple(cost.macs for cost in costs) == macs
    assert len({cost.parameters for cost in costs}) == 1


def test_widths_are_listed_in_order() -> None:
    listed = keras_archs.list_models("mobilenet-*-224")
    assert listed == [f"mobilenet-{alpha}-224" for alpha in ("0.25", "0.5", "0.75", "1.0")]


def test_full_convolutions_cost_what_table_4_says() -> None:
    """29.3 million parameters and 4866 million multiply-adds; the paper's figure is 0.03 % lower."""
    cost = profile(keras_archs.MobileNet(separable=False))
    assert cost.trainable == 29_294_088
    assert cost.macs == 4_867_293_184


def test_squeeze_and_excitation_follows_the_output_of_each_block() -> None:
    model = keras_archs.SEMobileNet(alpha=0.25, se_ratio=1 / 8)
    scale = model.get_layer("stage3_block2_se_excite")
    assert scale.input[0] is model.get_layer("stage3_block2_pointwise_activation").output
    assert model.get_layer("stage3_block2_se_reduce").filters == 64 // 8
    plain = [layer.name for layer in keras_archs.MobileNet().layers]
    for ratio in (None, 0):
        assert [layer.name for layer in keras_archs.SEMobileNet(se_ratio=ratio).layers] == plain


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(1.0, [32, 64, 1024]), (0.25, [8, 16, 256]), (0.35, [11, 22, 358]), (0.1, [8, 8, 102]), (1.25, [40, 80, 1280])],
)
def test_alpha_scales_the_channels_of_every_layer(alpha: float, expected: list[int]) -> None:
    assert [scaled_filters(filters, alpha) for filters in (32, 64, 1024)] == expected
    features = keras_archs.MobileNet(alpha=alpha, include_top=False, pooling="avg")
    assert features.get_layer("stem_conv").filters == expected[0]
    assert features.output_shape == (None, expected[-1])


@pytest.mark.parametrize(("rho", "size"), [(1, 224), (6 / 7, 192), (0.714, 160), (128 / 224, 128), (8 / 7, 256)])
def test_rho_sets_the_size_of_the_default_input_only(rho: float, size: int) -> None:
    assert keras_archs.MobileNet(alpha=0.25, rho=rho).input_shape == (None, size, size, 3)
    assert keras_archs.MobileNet(alpha=0.25, rho=rho, input_shape=(65, 64, 3)).input_shape == (None, 65, 64, 3)
    assert keras_archs.MobileNet(alpha=0.25, rho=rho, include_top=False).input_shape == (None, None, None, 3)


def test_an_unpublished_width_is_preprocessed_like_the_published_ones() -> None:
    origin = origin_of(keras_archs.MobileNet(alpha=0.3, rho=4 / 7, classes=3))
    assert origin is not None
    card = origin.card
    assert card is not None
    assert card.preprocessing.mean == card.preprocessing.std == (127.5,) * 3


def test_constants_are_as_published() -> None:
    model = keras_archs.MobileNet()
    norm = model.get_layer("stage5_block2_pointwise_bn")
    assert (norm.momentum, norm.epsilon) == (0.9997, 1e-3)
    assert model.get_layer("top_dropout").rate == 0.001
    kernel = np.asarray(model.get_layer("stage5_block2_pointwise_conv").kernel)
    assert np.abs(kernel).max() == pytest.approx(0.18, rel=0.01)  # standard deviation 0.09, truncated at twice that
    assert kernel.std() == pytest.approx(0.09 * 0.88, rel=0.01)
    first, second = (model.get_layer(f"stage4_block{n}_depthwise_conv").kernel for n in (2, 3))
    assert not np.allclose(first, second)


def test_signature_and_help() -> None:
    parameters = inspect.signature(keras_archs.MobileNet).parameters
    assert list(parameters)[-5:] == ["separable", "dropout_rate", "se_ratio", "alpha", "rho"]
    assert parameters["se_ratio"].default is None
    assert inspect.signature(keras_archs.SEMobileNet).parameters["se_ratio"].default == 1 / 16
    assert (inspect.getdoc(keras_archs.MobileNet) or "").startswith("MobileNet for images of 224 * rho pixels")


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"alpha": 0}, "alpha=0", "positive"),
        ({"alpha": -0.5}, "alpha=-0.5", "positive"),
        ({"alpha": True}, "alpha=True", "positive"),
        ({"alpha": "1.0"}, "alpha='1.0'", "positive"),
        ({"alpha": float("nan")}, "alpha=nan", "positive"),
        ({"alpha": float("inf")}, "alpha=inf", "positive"),
        ({"rho": 0.5}, "rho=0.5", "5/7 (160)"),
        ({"rho": 0}, "rho=0", "multiple of 32"),
        ({"rho": -1}, "rho=-1", "multiple of 32"),
        ({"rho": 0.001}, "rho=0.001", "multiple of 32"),
        ({"rho": float("inf")}, "rho=inf", "multiple of 32"),
        ({"rho": None}, "rho=None", "multiple of 32"),
        ({"separable": 2}, "separable=2", "True, or False"),
        ({"se_ratio": -1}, "se_ratio=-1", "positive"),
        ({"dropout_rate": 1.0}, "dropout_rate=1.0", "less than 1"),
        ({"weights": "imgenet"}, "MobileNet", "the path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.MobileNet(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)
