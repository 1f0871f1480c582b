"""The application: its commands, and what becomes of their errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from keras_archs.cli import analysis, classify, export, models, repo, scale, serve

app = typer.Typer(name="keras-archs", add_completion=False, pretty_exceptions_enable=False)
app.command("list")(models.list_)
app.command("info")(models.info)
app.command("profile")(analysis.profile)
app.command("compare")(analysis.compare)
app.command("scale")(scale.scale)
app.command("coefficients")(scale.coefficients)
app.command("export")(export.export)
app.command("classify")(classify.classify)
app.command("serve")(serve.serve)
app.add_typer(repo.app, name="repo")


def _print_version(wanted: bool) -> None:
    if wanted:
        from keras_archs import __version__

        typer.echo(f"keras-archs {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """CNN architectures for Keras, and the shortest way from a CNN's name to a REST endpoint."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Runs the command line and exits."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status: 0, or 2 after one line that says what is wrong.

    Typer makes the status 130 of Ctrl-C, and quietly exits with 1 if the reader of a pipe has gone away.
    """
    try:
        status: int | None = app(args=arguments, prog_name="keras-archs", standalone_mode=False)
    except typer.TyperException as error:
        return _fail(error.format_message())
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (ValueError, ModuleNotFoundError) as error:  # the latter: an extra that is not installed
        return _fail(str(error))
    return status or 0


def _fail(message: str) -> int:
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return 2
