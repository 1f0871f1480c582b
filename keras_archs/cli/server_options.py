"""Options of the commands that ask a running gateway."""

from __future__ import annotations

from typing import Annotated

import typer

KeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="KERAS_ARCHS_KEY",
        metavar="KEY",
        help="Key or token for the gateway. Prefer the variable: other users of the machine can see options.",
    ),
]
