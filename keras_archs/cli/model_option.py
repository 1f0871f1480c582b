"""The option `--model` of the commands that answer with a network of the registry or with a published model."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Name of the model, as 'keras-archs list' prints it or as published in --repository."
    ),
]
