"""Every published set of weights, written as its source writes it, gives the logits of the source's network.

The networks have random weights, because the published files are not here. Everything else is the real way: a file in
the source's own format, over HTTP, through checksum, reader and name map, into the network that the public builder
makes for the tag. Weights of `keras.applications` are in tests/weights/test_published_keras.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import pytest
import torch

import keras_archs
from keras_archs.cards.published_weights import entries
from keras_archs.cards.weights_entry import WeightsEntry, WeightsFile
from keras_archs.registry import list_models, model_card
from keras_archs.weights.download import fetch
from tests.support.file_checksums import checksum_of
from tests.support.networks import photographs, relative_distance
from tests.support.references_torch import logits, randomised, reference, reference_name
from tests.support.state_files import as_published, write
from tests.support.weights_server import Serve, isolated, serve, weights_server

__all__ = ["isolated", "serve", "weights_server"]

TOLERANCE = 1e-4
# Compared where the reference, or the real file, does not need Torch: tests/weights.
WITHOUT_TORCH = {"keras", "pypi"}
BEFORE_TORCH_1_6 = {"akamaster", "cadene", "timm/legacy_in1k"}


@dataclass(frozen=True)
class Case:
    """One published file of an entry, and how to build the network."""

    entry: WeightsEntry
    file: WeightsFile
    legacy: bool = False
    """Whether Torch's pickle has the format before Torch 1.6."""
    drop_path_per: str | None = None
    """None for the builder's default."""

    @property
    def source(self) -> str:
        return self.entry.tag.partition("/")[0]

    @property
    def half_precision(self) -> bool:
        """Whether the file holds half precision: the first weights of Wide ResNet, by the size of their files."""
        wide = self.entry.network.startswith("wide-resnet")
        return wide and self.entry.tag == "torchvision/IMAGENET1K_V1" and self.file.format == "torch"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the photographs."""
        return (32, 32) if self.entry.dataset == "cifar10" else (128, 96)

    def __str__(self) -> str:
        details = [self.file.format, "legacy" if self.legacy else "", self.drop_path_per or ""]
        return ":".join((self.entry.network, self.entry.tag, *filter(None, details)))


def cases() -> Iterator[Case]:
    """Yield a case for each network, form of the network, source's names and file format."""
    files = [(entry, file) for network in list_models() for entry in entries(network) for file in entry.files]
    seen = set()
    for entry, file in sorted(files, key=lambda pair: pair[0].files.index(pair[1])):  # an entry's preferred file first
        case = Case(entry, file, legacy=entry.tag in BEFORE_TORCH_1_6)
        key = (entry.network, entry.names, *sorted(entry.arguments), file.format, case.half_precision)
        if case.source not in WITHOUT_TORCH and key not in seen:
            seen.add(key)
            yield case
            if entry.network == "resnet-18" and file.format == "torch":
                yield replace(case, legacy=True)
            if entry.network.startswith("stochastic"):
                yield replace(case, drop_path_per="image")


CASES = list(cases())


def macs(case: Case) -> int:
    return model_card(case.entry.network).cost.macs


SMALLEST = {case.entry.names: case for case in sorted(CASES, key=macs, reverse=True) if macs(case) < 5e9}
"""The smallest network of each source, in ordinary runs; with one network in all formats of its source."""


def is_slow(case: Case) -> bool:
    return case not in SMALLEST.values() and not (
        case.entry.network == "resnet-18" and case.file.format != "zipped-torch"
    )


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if is_slow(case) else (), id=str(case).replace("/", "-"))
        for case in CASES
    ],
)
def test_logits_are_those_of_the_sources_network(
    case: Case, serve: Serve, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    entry, images = case.entry, photographs(*case.shape)
    network = entry.network.removeprefix("stochastic-depth-")
    bgr = entry.channel_order == "bgr"
    theirs = randomised(reference(entry.names, network, entry.arguments, source=case.source), *case.shape, bgr=bgr)
    state = as_published(theirs, entry, half_precision=case.half_precision)
    path = write(state, case.file, tmp_path, legacy=case.legacy)
    del state
    expected = logits(theirs.double(), images[..., ::-1].copy() if bgr else images)
    del theirs

    keras.config.set_dtype_policy("float64")  # so that a hundred layers of rounding hide nothing
    serve(entry, path, format=case.file.format, checksum=checksum_of(path, case.file.checksum))
    arguments = {"drop_path_per": case.drop_path_per} if case.drop_path_per else {}
    ours = keras_archs.create_model(
        entry.network, weights=entry.tag, input_shape=(None, None, 3), classifier_activation=None, **arguments
    )
    assert len(serve.server.paths) == 1
    error = relative_distance(keras.ops.convert_to_numpy(ours(images)), expected)
    record_property("relative error", error)
    assert error < TOLERANCE


def test_wrong_weights_would_be_noticed(serve: Serve, tmp_path: Path) -> None:
    """A single channel of a single normalisation, of the network's millions of values."""
    network = "resnet-18"
    case = next(case for case in CASES if case.entry.network == network and case.file.format == "safetensors")
    images = photographs(*case.shape)
    theirs = randomised(reference(case.entry.names, network, case.entry.arguments, source=case.source))
    expected = logits(theirs, images)
    with torch.no_grad():
        theirs.get_submodule("layer2.0.bn1").running_mean[0] += 0.1
    path = write(as_published(theirs, case.entry), case.file, tmp_path)
    serve(case.entry, path, format=case.file.format)
    ours = keras_archs.create_model(
        network, weights=case.entry.tag, input_shape=(None, None, 3), classifier_activation=None
    )
    assert relative_distance(ours(images).numpy(), expected) > 10 * TOLERANCE


def test_tags_of_pytorchcv_name_the_network_that_they_are_compared_with() -> None:
    for entry in (case.entry for case in CASES if case.source == "pytorchcv"):
        network = entry.network.removeprefix("stochastic-depth-")
        assert entry.tag == f"pytorchcv/{reference_name('pytorchcv', network, entry.arguments)}"


def test_every_entry_has_a_place_of_its_own_in_the_cache(serve: Serve, tmp_path: Path) -> None:
    published = [entry for network in list_models() for entry in entries(network) if entry.files[0].place != "package"]
    places = set()
    for entry in published:
        path = tmp_path / Path(entry.files[0].name).name
        path.write_text(f"{entry.network} {entry.tag}")
        fetched = fetch(serve(entry, path))
        assert fetched.path.read_text() == f"{entry.network} {entry.tag}"
        places.add(fetched.path)
    assert len(places) == len(published)


def test_the_twin_of_cadenes_network_is_the_network_of_pytorchcv() -> None:
    """With the same weights, which the two packages name differently."""
    images = photographs(128, 96)
    ours, theirs = (
        randomised(reference(names, "bn-inception")) for names in ("cadene-bninception", "pytorchcv-bninception")
    )
    assert relative_distance(logits(ours, images), logits(theirs, images)) < 1e-5
