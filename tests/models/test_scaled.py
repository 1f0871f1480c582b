"""Networks at any scale: factors of 1 give the published network, others round channels and blocks by family."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.models.densenet import IMAGENET as DENSENET
from keras_archs.models.densenet import grown as grown_densenet
from keras_archs.models.resnet import RESNET
from keras_archs.models.resnet import grown as grown_resnet
from keras_archs.registry import SCALABLE, UnknownModelError


def built(build: Any, **arguments: Any) -> keras.Model:
    with weightless():
        return build(**arguments)


def weights(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    return [(weight.path, weight.shape) for weight in model.weights]


def filters(model: keras.Model, layer: str) -> int:
    return int(model.get_layer(layer).output.shape[-1])


@pytest.mark.parametrize("name", SCALABLE)
def test_at_factors_of_one_a_baseline_is_the_published_network(name: str) -> None:
    build, card = keras_archs.scalable(name), keras_archs.model_card(name)
    model = built(build)
    assert weights(model) == weights(built(getattr(keras_archs, card.builder), **card.arguments))
    (baseline,) = keras_archs.members(build, (0,))
    assert (baseline.size, baseline.parameters, baseline.macs) == (card.cost.size, card.cost.parameters, card.cost.macs)


@pytest.mark.parametrize("name", SCALABLE)
def test_a_scaled_network_takes_what_every_classifier_takes(name: str) -> None:
    build = keras_archs.scalable(name)
    model = built(build, depth=1.1, width=0.5, resolution=1.15, classes=10, name="mine")
    assert (model.name, model.input_shape, model.output_shape) == ("mine", (None, 258, 258, 3), (None, 10))
    assert built(build, resolution=2, include_top=False).input_shape == (None, None, None, 3)
    with pytest.raises(ValueError, match=r"\(resolution=0\.1\) is not allowed.* at least 32 pixels"):
        build(resolution=0.1)
    for factor in ("depth", "width"):
        with pytest.raises(ValueError, match=rf"\({factor}=0\) is not allowed.* positive"):
            build(**{factor: 0})


@pytest.mark.parametrize(
    ("name", "factors", "published"),
    [
        ("efficientnet-lite0", {"width": 1.2, "depth": 1.4, "resolution": 280 / 224}, "efficientnet-lite3"),
        ("efficientnet-v2-b0", {"width": 1.2, "depth": 1.4, "resolution": 300 / 224}, "efficientnet-v2-b3"),
        ("mobilenet-1.0-224", {"width": 0.25, "resolution": 128 / 224}, "mobilenet-0.25-128"),
        ("mobilenet-v2-1.0", {"width": 1.4}, "mobilenet-v2-1.4"),
    ],
)
def test_factors_of_published_members_give_these_members(name: str, factors: dict[str, float], published: str) -> None:
    """MobileNet's own multipliers are width and resolution, rounded as TF-slim rounds them."""
    scaled = built(keras_archs.scalable(name), **factors)
    model = built(partial(keras_archs.create_model, published))
    assert (scaled.input_shape, weights(scaled)) == (model.input_shape, weights(model))


def test_mobilenet_adds_blocks_before_the_block_that_halves_the_image() -> None:
    """1, 2, 2, 6 and 2 blocks become 2, 3, 3, 8 and 3: rounded up."""
    model = built(keras_archs.ScaledMobileNet, depth=1.2)
    blocks = [name for layer in model.layers if (name := layer.name).endswith("_pointwise_conv")]
    assert [sum(name.startswith(f"stage{stage}_") for name in blocks) for stage in range(1, 6)] == [2, 3, 3, 8, 3]
    assert model.get_layer("stage5_block3_pointwise_conv").output.shape == (None, 7, 7, 1024)


def test_residual_networks_round_the_channels_of_every_layer() -> None:
    plan = grown_resnet(RESNET["50"], width=1.2, depth=1.4)
    assert plan.repeats == (5, 6, 9, 5)
    assert [plan.scaled(64 * 2**stage) for stage in range(4)] == [80, 152, 304, 616]  # 76.8, 153.6, 307.2, 614.4
    model = built(keras_archs.ScaledResNet50, width=1.2, depth=1.4)
    assert [filters(model, f"stage{stage}_block5_conv2") for stage in range(1, 5)] == [80, 152, 304, 616]
    assert [filters(model, f"stage{stage}_block5_conv3") for stage in range(1, 5)] == [320, 608, 1216, 2464]
    assert filters(model, "stem_conv") == 80


def test_wide_residual_networks_stay_wide_inside() -> None:
    model = built(keras_archs.ScaledWideResNet50_2, width=1.2)
    assert filters(model, "stage1_block1_conv2") == 152  # 2 * 64 * 1.2 = 153.6
    assert filters(model, "stage1_block1_conv3") == 320  # 4 * 80, as in ResNet-50


def test_a_densenets_width_is_its_growth_rate() -> None:
    plan = grown_densenet(DENSENET["121"], width=1.1, depth=1.2)
    assert (plan.growth, plan.stem, plan.blocks) == (36, 72, (8, 15, 29, 20))  # 35.2 to a multiple of 4
    model = built(keras_archs.ScaledDenseNet121, width=1.1)
    assert filters(model, "block1_layer1_growth_conv") == 36
    assert filters(model, "stem_conv") == 72


def test_depth_makes_a_densenet_cost_more_than_in_proportion() -> None:
    """Layers also take the maps of the added layers: twice the layers, nearly three times the multiply-adds."""
    build = keras_archs.ScaledDenseNet121
    twice = keras_archs.profile(built(build, depth=2)).macs
    assert twice
    assert twice / keras_archs.model_card("densenet-121").cost.macs == pytest.approx(2.858, abs=5e-4)


def test_what_is_no_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'resnet-18' is not a baseline .*: densenet-121, .*, wide-resnet-50-2"):
        keras_archs.scalable("resnet-18")
    with pytest.raises(UnknownModelError, match="did you mean resnet-50"):
        keras_archs.scalable("resnet50")
