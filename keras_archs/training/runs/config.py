"""The configuration of a run, as `config.yaml` has it: everything that is needed to train the same again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError
from pydantic import model_validator as validator
from pydantic_core import ErrorDetails

from keras_archs.repository.artifact import check_name
from keras_archs.training.data.dataset import Split
from keras_archs.training.networks import NetworkChoice
from keras_archs.training.tuning.checkpoints import replacing
from keras_archs.training.tuning.recipe import Recipe

Method = Literal["head", "fine-tune", "from-scratch"]
"""What is trained: a classifier on frozen features, the whole network from its weights, or from initial values."""

_PACKAGES: Final = ("keras-archs", "keras", "tensorflow", "openvino", "scikit-learn", "numpy", "pillow")
_HEADING: Final = "# keras-archs train --config {path} trains the same again.\n"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Strict):
    """The data of a run, as it was given and as it was found."""

    source: str
    """Folder or table, as it was given, or the name of packaged images."""
    packaged: bool
    """Whether `source` is the name of packaged images."""
    may_flip: bool
    """Whether a mirror image shows the same class."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the network's outputs."""
    images: dict[Split, NonNegativeInt]
    """Number of images of each division."""
    digest: str
    """Digest of the paths, classes and sizes of all files: another digest means changed data."""

    @property
    def total(self) -> int:
        """Number of images."""
        return sum(self.images.values())


class RunConfig(_Strict):
    """The configuration of a run."""

    name: Annotated[str, AfterValidator(check_name)]
    """Name to publish under; run folders are named after it."""
    data: DataConfig
    method: Method
    network: str
    """Name in the registry."""
    weights: str | None
    """Tag or path of the first weights; None for initial values."""
    image_size: PositiveInt | None
    """Height and width of the input in pixels; None for the network's own."""
    recipe: Recipe | None
    """None for a head."""
    time_limit: PositiveFloat | None
    """Seconds that training may take; None for the recipe's epochs, or for a head's usual bound."""
    seed: NonNegativeInt
    repository: str | None
    """Folder of the repository to publish in; None to publish nothing."""
    report: bool
    """Whether to look for faults of the data and to write a page."""
    packages: dict[str, str]
    """Versions of the packages that the result depends on."""

    @validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.recipe is None) != (self.method == "head"):
            raise ValueError(f"fine-tune and from-scratch have a recipe, and a head has none; method: {self.method}")
        if (self.weights is None) != (self.method == "from-scratch"):
            raise ValueError(f"head and fine-tune have weights, and from-scratch has none; method: {self.method}")
        return self

    @property
    def choice(self) -> NetworkChoice:
        """The network and its first weights."""
        return NetworkChoice(self.network, self.weights, self.image_size)

    def write(self, path: Path) -> None:
        """Write the configuration as YAML."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        with replacing(path) as incoming:
            incoming.write_text(_HEADING.format(path=path) + text, encoding="utf-8")


def read_config(path: Path) -> RunConfig:
    """Read a configuration.

    Raises:
        ValueError: The file is no configuration; the message names each key that is wrong.
        OSError: The file cannot be read.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file: {error}") from error
    try:
        return RunConfig.model_validate(document)
    except ValidationError as error:
        raise ValueError(
            f"{path} is no configuration of a run: {'; '.join(map(_described, error.errors()))}"
        ) from error


def _described(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"])) or "the file"
    match error["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{key} is unknown"
        case "value_error":
            reason = str(error["ctx"]["error"])
            return f"{key}: {reason}" if error["loc"] else reason
    message = error["msg"].removeprefix("Input should be ")
    return f"{key} must be {message}; got {error['input']!r}"


def installed_packages() -> dict[str, str]:
    """Return the versions of the installed packages that the result of a run depends on."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    versions = {}
    for package in dict.fromkeys((*_PACKAGES, backend)):
        with suppress(metadata.PackageNotFoundError):  # an extra that is not installed
            versions[package] = metadata.version(package)
    return versions


def changes(before: RunConfig, now: RunConfig) -> Sequence[str]:
    """Say what a training with the same configuration does not have in common with the first, in words."""
    return [*_changed_data(before.data, now.data), *_changed_packages(before.packages, now.packages)]


def _changed_data(before: DataConfig, now: DataConfig) -> Iterable[str]:
    if before.digest == now.digest:
        return
    if before.total != now.total or before.classes != now.classes:
        yield (
            f"{now.source} has changed: {now.total:,} images of {len(now.classes):,} classes, "
            f"and {before.total:,} of {len(before.classes):,} before"
        )
    else:
        yield f"{now.source} has changed: other files, or files of other sizes"


def _changed_packages(before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[str]:
    changed = [
        f"{package} {now.get(package, 'none')} (before: {before.get(package, 'none')})"
        for package in dict.fromkeys((*before, *now))
        if before.get(package) != now.get(package)
    ]
    if changed:
        yield f"other packages: {', '.join(changed)}"
