"""`keras-archs weights list`: the published weights that builders load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, write_json, write_table
from keras_archs.registry import list_models, list_weights, model_card

if TYPE_CHECKING:
    from keras_archs.cards.weights_entry import WeightsEntry, WeightsFile


def list_(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Shell-style pattern of the models' names, e.g. 'resnext-*'.")
    ] = "*",
    as_json: JsonOption = False,
) -> None:
    """List published weights: tag, accuracy, input size, licence and source; each model's default has a star."""
    names = list_models(pattern)
    if not names:
        raise ValueError(f"no model matches {pattern!r}; patterns are shell-style, e.g. 'resnext-*' for every ResNeXt")
    entries = list_weights(pattern)
    if as_json:
        write_json([_as_json(entry) for entry in entries])
        return
    for name in names:
        if not model_card(name).weights:
            typer.echo(f"{name} has no weights: {model_card(name).without_weights}", err=True)
    if not entries:
        return
    write_table(
        ["model", "weights", "default", "top-1", "top-5", "input", "licence", "source"],
        [
            [
                entry.network,
                entry.tag,
                "*" if entry.default else "",
                f"{entry.top1.value:.1f} %" if entry.top1 else "",
                f"{entry.top5:.1f} %" if entry.top5 else "",
                "x".join(map(str, entry.preprocessing.size)),
                entry.licence if entry.commercial else f"{entry.licence} (NOT FOR COMMERCIAL USE)",
                entry.files[0].address,
            ]
            for entry in entries
        ],
        right=["top-1", "top-5", "input"],
    )


def _as_json(entry: WeightsEntry) -> dict[str, Any]:
    return {
        "model": entry.network,
        "weights": entry.tag,
        "default": entry.default,
        "dataset": entry.dataset,
        "classes": entry.classes,
        "top1": {"value": entry.top1.value, "source": entry.top1.source} if entry.top1 else None,
        "top5": entry.top5,
        "preprocessing": entry.preprocessing.to_json(),
        "arguments": dict(entry.arguments),
        "licence": entry.licence,
        "commercial_use": entry.commercial,
        "recipe": entry.recipe,
        "notes": entry.notes,
        "files": [_file_as_json(file) for file in entry.files],
    }


def _file_as_json(file: WeightsFile) -> dict[str, Any]:
    checksum = file.checksum
    return {
        "address": file.address,
        "format": file.format,
        "checksum": {"algorithm": checksum.algorithm, "value": checksum.value, "of": checksum.of} if checksum else None,
        "size": file.size,
    }
