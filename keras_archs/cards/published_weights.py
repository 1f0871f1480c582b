"""Published weights by network: the entries in the folder ``published``, one TOML file per family.

The file of a network is the one whose name the network's name begins with; of two such files, the longer name.
"""

import difflib
from dataclasses import replace
from functools import cache
from importlib.resources import files

from keras_archs.cards.entries_file import read_entries
from keras_archs.cards.weights_entry import WeightsEntry

_FOLDER = files("keras_archs.cards").joinpath("published")


def entries(network: str) -> tuple[WeightsEntry, ...]:
    """Return the published weights of a network.

    Args:
        network: Name in the registry, e.g. ``"resnet-50"``.

    Returns:
        The entries, the default first; none if no published weights are known that fit.
    """
    fitting = [name for name in _file_names() if network.startswith(name)]
    return _of_file(max(fitting, key=len)).get(network, ()) if fitting else ()


def default_entry(network: str) -> WeightsEntry | None:
    """Return the entry that ``weights="imagenet"``, for CIFAR networks ``"cifar10"``, stands for; None without one."""
    return next((entry for entry in entries(network) if entry.default), None)


def entry(network: str, weights: str) -> WeightsEntry:
    """Return one set of published weights of a network.

    Args:
        network: Name in the registry, e.g. ``"resnet-50"``.
        weights: Tag of the weights, or the data set (``"imagenet"``, ``"cifar10"``) for the network's default.

    Raises:
        ValueError: If the network has no such weights; the message lists the weights that exist.
    """
    known = entries(network)
    for candidate in known:
        if weights == candidate.tag or (candidate.default and weights == candidate.dataset):
            return candidate
    names = accepted(network)
    close = difflib.get_close_matches(weights, names, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    none = "" if known else "Nobody is known to have published weights that fit this network. "
    allowed = [*map(repr, names), "the path of a .keras or .weights.h5 file"]
    raise ValueError(f"{network} has no weights {weights!r}. {hint}{none}Allowed: {', '.join(allowed)}")


def accepted(network: str) -> tuple[str, ...]:
    """Return the values of a builder's ``weights`` argument that stand for published weights: data set, then tags."""
    known = entries(network)
    return (*(entry.dataset for entry in known if entry.default), *(entry.tag for entry in known))


@cache
def _file_names() -> tuple[str, ...]:
    return tuple(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))


@cache
def _of_file(name: str) -> dict[str, tuple[WeightsEntry, ...]]:
    """Return the entries of one file by network."""
    content = read_entries(_FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8"), name)
    return {
        **content.entries,
        **{
            network: tuple(replace(entry, network=network) for entry in entries(source))
            for network, source in content.weights_of.items()
        },
    }
