"""Which options of `keras-archs train` go together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Final

import typer

_BEGINNINGS: Final = {
    "photos": "PHOTOS",
    "data": "--data",
    "config": "--config",
    "resume": "--resume",
    "finish": "--finish",
}
"""What a run begins with, of which a command has one."""

_TOGETHER: Final = ("distributed", "coordinator", "processes", "process")

_ALONGSIDE: Final[Mapping[str, Collection[str]]] = {
    "config": {"runs", "as_json", *_TOGETHER},
    "resume": {"as_json", *_TOGETHER},
    "finish": {"as_json"},
}
"""What may be given together with the configuration of another run, which says everything else."""

_OF_THE_WHOLE_NETWORK: Final = ("recipe", "epochs", "batch", "learning_rate", "no_flip")
_PACKAGES: Final = {"pydantic": "pydantic", "yaml": "pyyaml", "sklearn": "scikit-learn", "openvino": "openvino"}


def given_options(context: typer.Context) -> set[str]:
    """Return the names of the parameters that the command line has, as opposed to defaults and environment."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def check_options(given: Collection[str]) -> None:
    """Refuse options that contradict each other, or that would do nothing.

    Args:
        given: Names of the parameters that the command line has.

    Raises:
        ValueError: Options do not go together.
    """
    if "distributed" not in given:
        _refuse([name for name in _TOGETHER if name in given], "needs --distributed")
    begun = [name for name in _BEGINNINGS if name in given]
    if len(begun) != 1:
        got = " and ".join(_BEGINNINGS[name] for name in begun) or "none of them"
        raise ValueError(f"give one of {', '.join(_BEGINNINGS.values())}; got {got}")
    if allowed := _ALONGSIDE.get(begun[0]):
        _refuse(set(given) - {*begun, *allowed}, f"cannot go with --{begun[0]}, whose run has a configuration")
        return
    if {"fine_tune", "from_scratch"} <= set(given):
        raise ValueError("--fine-tune begins with published weights, --from-scratch without: give one of them")
    if "from_scratch" in given:
        _refuse(set(given) & {"weights"}, "cannot go with --from-scratch, which begins with initial values")
    elif "fine_tune" not in given:
        _refuse(set(given) & {"distributed"}, "is for --fine-tune and --from-scratch: a classifier takes seconds")
        _refuse(
            [name for name in _OF_THE_WHOLE_NETWORK if name in given],
            "is for --fine-tune and --from-scratch: a classifier on frozen features has no epochs",
        )
    if {"repository", "no_publish"} <= set(given):
        raise ValueError("--repository does not go with --no-publish")


def _refuse(names: Collection[str], why: str) -> None:
    if names:
        options = ", ".join("--" + name.replace("_", "-") for name in sorted(names))
        raise ValueError(f"{options} {why}")


def require_packages() -> None:
    """Name the extra to install before any work is done.

    Raises:
        ModuleNotFoundError: A package of the extra is not installed.
    """
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(f"training needs {', '.join(missing)}: pip install 'keras-archs[train]'")
