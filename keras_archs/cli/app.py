"""The command-line application: its commands, and the exit status and message of their errors."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TextIO

import typer

from keras_archs.cli import (
    bench,
    choose,
    classify,
    compare,
    evaluate,
    export,
    keys,
    list_info,
    predict,
    profile,
    quantize,
    repo,
    scale,
    serve,
    train,
    weights,
)

app = typer.Typer(name="keras-archs", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
app.command("list")(list_info.list_)
app.command("info")(list_info.info)
app.command("profile")(profile.profile)
app.command("compare")(compare.compare)
app.command("choose")(choose.choose)
app.command("scale")(scale.scale)
app.command("coefficients")(scale.coefficients)
app.command("export")(export.export)
app.command("classify")(classify.classify)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("train")(train.train)
app.command("quantize")(quantize.quantize)
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.add_typer(repo.app, name="repo")
app.add_typer(keys.app, name="keys")
app.add_typer(weights.app, name="weights")


@dataclass
class _Invocation:
    """Options in front of the command."""

    traceback: bool = False


def _print_version(is_given: bool) -> None:
    if is_given:
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
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the Python traceback of an error in front of its message.")
    ] = False,
) -> None:
    """CNN architectures for Keras: compare networks, classify images, publish models and serve them over REST."""
    context.ensure_object(_Invocation).traceback = traceback
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line and exit the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status: 0, or 2 after a one-line error message on standard error.

    `--traceback` in front of the command prints the traceback of the error, too. Typer turns Ctrl-C into status 130,
    and exits with 1 and no message if standard output is a closed pipe.
    """
    invocation = _Invocation()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status: int | None = app(args=arguments, prog_name="keras-archs", standalone_mode=False, obj=invocation)
    except (typer.TyperException, OSError, ValueError, ModuleNotFoundError) as error:
        if invocation.traceback:
            traceback.print_exception(error)
        typer.echo(f"error: {' '.join(_message(error).split())}", err=True)
        return 2
    return status or 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning without the line of code that caused it."""
    typer.echo(f"warning: {' '.join(str(message).split())}", err=True)


def _message(error: Exception) -> str:
    """Return the message of an error that a command expects: ModuleNotFoundError if an extra is not installed."""
    if isinstance(error, typer.TyperException):
        return str(error.format_message())
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
