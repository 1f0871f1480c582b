"""Which public name is documented where, and what autodoc writes about builders that share their arguments."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import keras_archs
import keras_archs.training
from docs.tools.families import FAMILIES, builders

GROUPS = {
    "registry": ("registry",),
    "images": ("images.decoding", "images.labels", "images.overlay", "images.preprocessing"),
    "analysis": ("analysis.", "cards.scaling"),
    "export": ("export.",),
    "stochastic-depth": ("layers.stochastic_depth",),
}
"""Pages of ``docs/api`` and the modules whose names they document; a dot at the end stands for a folder."""


def module_of() -> dict[str, str]:
    """Return the module of each public name, relative to `keras_archs`, from the stub that defines them."""
    stub = ast.parse((Path(keras_archs.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


PUBLIC = list(module_of())
"""The public names in the order of the stub, which has the members of a family by size."""


def pages() -> dict[str, list[str]]:
    """Return the public names by the page that documents them; builders are on the page of their family."""
    modules = module_of()
    named = {f"families/{family.slug}": builders(family, PUBLIC, modules) for family in FAMILIES}
    for page, prefixes in GROUPS.items():
        named[f"api/{page}"] = [
            name
            for name in PUBLIC
            if any(
                modules[name] == prefix or (prefix.endswith(".") and modules[name].startswith(prefix))
                for prefix in prefixes
            )
        ]
    return named


def directives(names: list[str], package: ModuleType = keras_archs) -> str:
    """Return autodoc directives for public names of a package."""
    blocks = []
    for name in names:
        thing = getattr(package, name)
        kind = "autoclass" if inspect.isclass(thing) else "autofunction" if callable(thing) else "py:data"
        blocks.append(f".. {kind}:: {package.__name__}.{name}\n" + ("   :members:\n" if kind == "autoclass" else ""))
    return "```{eval-rst}\n" + "\n".join(blocks) + "```\n"


class SharedArguments:
    """Shortens what autodoc writes about builders: the first on a page has all arguments, the others what differs."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, dict[str, list[str]]]] = {}
        """Name and described arguments of the first builder on each page."""

    def shorten_signature(
        self, _app: Any, what: str, _name: str, thing: Any, _options: Any, _arguments: str, _returned: str
    ) -> Any:
        """Write a builder's signature without the arguments, which the text describes."""
        return ("(**arguments)", "") if what == "function" and _is_builder(thing) else None

    def shorten_docstring(self, app: Any, what: str, name: str, thing: Any, _options: Any, lines: list[str]) -> None:
        """Replace arguments that the first builder on the page describes by a reference to it."""
        if what != "function" or not _is_builder(thing):
            return
        described = _described(lines)
        defaults = {key: parameter.default for key, parameter in inspect.signature(thing).parameters.items()}
        first, known = self._first.setdefault(app.env.docname, (name, described))
        if first == name:
            where = lines.index("Args:")
            lines[where:where] = [f"Defaults: {_written(defaults)}.", ""]
            return
        of_first = inspect.signature(getattr(keras_archs, first.rpartition(".")[2])).parameters
        missing = [f"``{key}``" for key in known if key not in described]
        other = {key: value for key, value in defaults.items() if key in of_first and of_first[key].default != value}
        added = {key: text for key, text in described.items() if known.get(key) != text}
        without = f", without {', '.join(missing)}" if missing else ""
        del lines[lines.index("") + 1 :]
        lines += [f"Takes the arguments of `{first}`{without}; defaults that differ: {_written(other)}."]
        if added:
            new = {key: defaults[key] for key in added if key not in of_first}
            lines += ["", f"Further defaults: {_written(new)}."] if new else []
            lines += ["", "Args:", *(line for text in added.values() for line in text)]


def _described(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each argument's description."""
    start = lines.index("Args:") + 1
    described: dict[str, list[str]] = {}
    for line in lines[start : lines.index("", start)]:
        if found := re.match(r" {4}(\w+): ", line):
            described[key := found[1]] = [line]
        else:
            described[key].append(line)
    return described


def keep_layouts(_app: Any, what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    """Show the indented blocks in a module's docstring as they are: layouts of folders."""
    if what != "module":
        return
    for number in reversed(range(1, len(lines) - 1)):
        before, blank, block = lines[number - 1 : number + 2]
        if (
            before
            and not before.startswith(" ")
            and not before.endswith("::")
            and not blank
            and block.startswith("    ")
        ):
            lines[number:number] = ["", "::"]


def keep_colons(_app: Any, what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    """Keep napoleon from reading the text before a colon in an attribute's docstring as a type."""
    if what in {"attribute", "data", "property"} and lines:
        lines.insert(0, "")


def _is_builder(thing: Any) -> bool:
    return getattr(thing, "__module__", "").startswith("keras_archs.models.") and hasattr(thing, "__signature__")


def _written(defaults: dict[str, Any]) -> str:
    return ", ".join(f"``{key}={value!r}``" for key, value in defaults.items()) or "none"
