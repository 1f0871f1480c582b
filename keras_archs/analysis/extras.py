"""Import of packages that only an extra of keras-archs installs."""

import importlib
from types import ModuleType


def import_extra(package: str, extra: str) -> ModuleType:
    """Import a package, or name the extra that installs it.

    Args:
        package: Module name, e.g. ``"matplotlib.figure"``.
        extra: Extra of keras-archs that installs the package, e.g. ``"analysis"``.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: If the package is not installed; the message has the ``pip install`` command.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install 'keras-archs[{extra}]'", name=error.name
        ) from error
