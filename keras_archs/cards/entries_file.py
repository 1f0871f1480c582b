"""Reads the entries of published weights in a TOML file.

A file has a table per group of weights that share values, and in the group's table ``weights`` a line per entry, whose
key is network and tag. A value on the line goes before the group's, which goes before the value at the top of the file:

    mean = [123.675, 116.28, 103.53]

    [gluon]
    licence = "Apache-2.0"

    [gluon.weights]
    "resnet-18 timm/gluon_in1k" = { files = [{ hub = "timm/resnet18.gluon_in1k" }], top1 = 70.844, top5 = 89.75 }

An entry has either ``crop``, a fraction, or ``resize``, the shorter side in pixels of which ``size`` are kept. The
format of a file follows from the end of its name, and the first digits of its SHA-256 from a name such as
``net-0123abcd.pth``, unless its table has a checksum. Where a network takes the weights of another, the table
``weights_of`` has a line with both names.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

from keras_archs.cards.accuracy import Accuracy
from keras_archs.cards.weights_entry import Checksum, Format, WeightsEntry, WeightsFile
from keras_archs.images.preprocessing import Preprocessing

_VALUES: dict[str, type | tuple[type, ...]] = {
    "files": list,
    "location": str,
    "names": str,
    "size": int,
    "crop": (int, float),
    "resize": int,
    "interpolation": str,
    "mean": list,
    "std": list,
    "top1": (int, float),
    "top5": (int, float),
    "accuracy": str,
    "licence": str,
    "default": bool,
    "dataset": str,
    "classes": int,
    "arguments": dict,
    "channel_order": str,
    "recipe": str,
    "notes": str,
}
"""Keys of an entry, with the types of their values in TOML."""
_PLACES: tuple[Literal["package", "hub", "url"], ...] = ("package", "hub", "url")
_CHECKSUMS = ("sha256", "sha1", "md5", "sha1_of_content")
_FILE = {**dict.fromkeys((*_PLACES, *_CHECKSUMS, "name", "revision"), str), "bytes": int}
"""Keys of a file, with the types of their values in TOML."""
_FORMATS: dict[str, Format] = {
    ".h5": "h5",
    ".pth": "torch",
    ".th": "torch",
    ".pth.zip": "zipped-torch",
    ".safetensors": "safetensors",
}
"""Format of a file by the end of its name."""
_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}


class EntriesFile(NamedTuple):
    """Content of one TOML file."""

    entries: Mapping[str, tuple[WeightsEntry, ...]]
    """Entries by network, each network's default first."""
    weights_of: Mapping[str, str]
    """The network whose weights another network takes, by the name of the other."""


def read_entries(text: str, name: str) -> EntriesFile:
    """Read the text of a TOML file.

    Args:
        text: The file's text.
        name: The file's name without its ending: the beginning of the names of its networks.

    Raises:
        ValueError: If a key is unknown, a value has another type or is not allowed, or a network has two entries with
            one tag or two defaults; the message names file, group and entry.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name}.toml: {error}") from None
    weights_of = document.pop("weights_of", {})
    for network in weights_of:
        _check_network(network, name, f"{name}.toml, [weights_of]")
    found: dict[str, dict[str, WeightsEntry]] = {}
    for where, network, tag, values in _lines(document, f"{name}.toml"):
        _check_network(network, name, where)
        of_network = found.setdefault(network, {})
        if tag in of_network:
            raise ValueError(f"{where}: {network} has two entries with the tag {tag!r}")
        try:
            of_network[tag] = _entry(network, tag, values)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if sum(entry.default for entry in of_network.values()) > 1:
            raise ValueError(f"{where}: {network} has two defaults")
    return EntriesFile(
        {
            network: tuple(sorted(of_network.values(), key=lambda entry: not entry.default))
            for network, of_network in found.items()
        },
        weights_of,
    )


def _check_network(network: str, name: str, where: str) -> None:
    if not network.startswith(name):
        raise ValueError(f"{where}: the network's name must begin with the file's name, {name!r}; got {network!r}")


def _lines(document: Mapping[str, Any], file: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield place in the file, network, tag and all values of each entry."""
    of_file = {key: value for key, value in document.items() if not isinstance(value, dict)}
    for group, content in document.items():
        if not isinstance(content, dict):
            continue
        of_group = {key: value for key, value in content.items() if key != "weights"}
        lines = content.get("weights")
        if not isinstance(lines, dict) or not all(isinstance(line, dict) for line in lines.values()):
            raise ValueError(f"{file}, [{group}]: the table 'weights' must have a table per entry, got {lines!r}")
        for key, line in lines.items():
            where = f"{file}, [{group}.weights], {key!r}"
            network, separator, tag = key.partition(" ")
            if not network or not separator or not tag or " " in tag:
                raise ValueError(f"{where}: the key must be a network, a space and a tag")
            values = {**of_file, **of_group, **line}
            _check(values, _VALUES, where)
            yield where, network, tag, values


def _check(values: Mapping[str, Any], allowed: Mapping[str, Any], where: str) -> None:
    """Check keys and types of values."""
    for key, value in values.items():
        if key not in allowed:
            raise ValueError(f"{where}: unknown key {key!r}; allowed are {', '.join(allowed)}")
        if not isinstance(value, allowed[key]) or (isinstance(value, bool) and allowed[key] is not bool):
            raise ValueError(f"{where}: {key} must be of type {_type_name(allowed[key])}, got {value!r}")


def _type_name(types: type | tuple[type, ...]) -> str:
    return "float" if isinstance(types, tuple) else types.__name__


def _entry(network: str, tag: str, values: dict[str, Any]) -> WeightsEntry:
    missing = {"files", "names", "size", "mean", "std", "interpolation", "licence"} - values.keys()
    if missing:
        raise ValueError(f"{', '.join(sorted(missing))} missing")
    hints = get_type_hints(WeightsEntry)
    for key in ("dataset", "channel_order"):
        if key in values and values[key] not in get_args(hints[key]):
            raise ValueError(f"{key} must be one of {', '.join(get_args(hints[key]))}, got {values[key]!r}")
    if not values["files"]:
        raise ValueError("files must name at least one file")
    own = ("names", "licence", "default", "dataset", "classes", "channel_order", "recipe", "notes")
    return WeightsEntry(
        network=network,
        tag=tag,
        files=tuple(_file(file, values.get("location", "")) for file in values["files"]),
        preprocessing=_preprocessing(values),
        top1=_accuracy(values),
        top5=values.get("top5"),
        arguments=MappingProxyType(values.get("arguments", {})),
        **{key: values[key] for key in own if key in values},
    )


def _preprocessing(values: Mapping[str, Any]) -> Preprocessing:
    size = values["size"]
    if ("crop" in values) == ("resize" in values):
        raise ValueError("either crop (a fraction) or resize (pixels of the shorter side) must be given")
    return Preprocessing(
        size=(size, size),
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
        crop_fraction=values["crop"] if "crop" in values else size / values["resize"],
        interpolation=values["interpolation"],
    )


def _accuracy(values: Mapping[str, Any]) -> Accuracy | None:
    if "top1" not in values:
        return None
    if not values.get("accuracy"):
        raise ValueError("accuracy, the source of top1, is missing")
    if not values.get("top5", 100) >= values["top1"] > 0:
        raise ValueError(f"top1 must be above 0 and at most top5, got {values['top1']} and {values.get('top5')}")
    return Accuracy(values["top1"], values["accuracy"])


def _file(file: Any, location: str) -> WeightsFile:
    if not isinstance(file, dict):
        raise ValueError(f"a file must be a table, got {file!r}")
    _check(file, _FILE, "files")
    places = [place for place in _PLACES if place in file]
    checksums = [kind for kind in _CHECKSUMS if kind in file]
    if len(places) != 1 or len(checksums) > 1:
        raise ValueError(f"a file must have one of {', '.join(_PLACES)}, and at most one checksum; got {file}")
    match places[0]:
        case "url":
            address = file["url"] if "://" in file["url"] else f"{location}/{file['url']}"
            where, _, name = address.rpartition("/")
        case "hub":
            where, name = file["hub"], file.get("name", "model.safetensors")
        case _:
            where, _, name = file["package"].partition("/")
    endings = [ending for ending in _FORMATS if name.endswith(ending)]
    if not endings:
        raise ValueError(f"the file name {name!r} must end with one of {', '.join(_FORMATS)}")
    return WeightsFile(
        place=places[0],
        location=where,
        name=name,
        format=_FORMATS[endings[0]],
        checksum=_checksum(checksums[0], file[checksums[0]]) if checksums else _checksum_in(name),
        revision=file.get("revision", "main"),
        size=file.get("bytes"),
    )


def _checksum(kind: str, value: str) -> Checksum:
    algorithm: Any = kind.removesuffix("_of_content")
    if not re.fullmatch(r"[0-9a-f]{8,}", value) or len(value) > _DIGITS[algorithm]:
        raise ValueError(f"{kind} must have 8 to {_DIGITS[algorithm]} digits 0-9 and a-f, got {value!r}")
    return Checksum(algorithm, value, "content" if kind != algorithm else "file")


def _checksum_in(name: str) -> Checksum | None:
    """Return the checksum in a file name of torch.hub's form: its last digits are the first of the SHA-256."""
    found = re.search(r"-([0-9a-f]{8,})\.(?:pth|th)$", name)
    return Checksum("sha256", found[1]) if found else None
