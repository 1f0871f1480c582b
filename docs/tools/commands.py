"""The reference of the command, as Markdown, from the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from docs.tools.tables import escaped, table, values
from keras_archs.cli.app import app


def reference() -> str:
    """Return a section per command of ``keras-archs``, with its arguments and options."""
    return "\n".join(_sections(get_command(app), "keras-archs"))


def _sections(command: Any, path: str) -> Iterator[str]:
    subcommands = getattr(command, "commands", {})
    if not subcommands:
        yield f"## `{path}`\n"
        yield _text(command.help)
        yield _parameters(command)
    for name, subcommand in subcommands.items():
        yield from _sections(subcommand, f"{path} {name}")


def _text(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").splitlines()) + "\n"


def _parameters(command: Any) -> str:
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name == "help":
            continue
        argument = parameter.param_type_name == "argument"
        name = f"`{parameter.name.upper()}`" if argument else ", ".join(f"`{option}`" for option in parameter.opts)
        default = parameter.default
        shown = (
            "required"
            if parameter.required
            else ""
            if default in (None, False, ()) or callable(default)
            else f"`{default}`"
        )
        rows.append([name, _values(parameter), shown, escaped(parameter.help or "")])
    return table(("parameter", "values", "default", "meaning"), rows)


def _values(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return "flag"
    return parameter.metavar or values(parameter.type_descriptor.annotation)
