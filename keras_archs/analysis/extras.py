"""Packages that only an extra installs."""

import importlib
from types import ModuleType


def import_extra(package: str, extra: str) -> ModuleType:
    """Import a package, or say what to install.

    Args:
        package: The module's name.
        extra: Extra of keras-archs that has it.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: If it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install 'keras-archs[{extra}]'", name=error.name
        ) from error
