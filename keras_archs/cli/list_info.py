"""`keras-archs list` and `keras-archs info`: the networks of the registry and their cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_archs.cli.output import JsonOption, write_json, write_table
from keras_archs.registry import list_models, list_weights, model_card

if TYPE_CHECKING:
    from keras_archs.cards.accuracy import Accuracy
    from keras_archs.cards.model_card import ModelCard


def list_(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Shell-style pattern of names, e.g. 'efficientnet-*'.")
    ] = "*",
    as_json: JsonOption = False,
) -> None:
    """List the models: input size, parameters, multiply-adds, and default weights with accuracy and licence."""
    cards = [model_card(name) for name in list_models(pattern)]
    if not cards:
        raise ValueError(
            f"no model matches {pattern!r}; patterns are shell-style, e.g. '*lite*' for every Lite network"
        )
    if as_json:
        write_json([_as_json(card) for card in cards])
        return
    write_table(
        ["model", "input", "parameters", "multiply-adds", "top-1", "default weights", "licence", "source of top-1"],
        [
            [
                card.name,
                _input(card),
                _millions(card.cost.parameters),
                _millions(card.cost.macs),
                f"{card.top1.value:.1f} %" if card.top1 else "",
                card.default.tag if card.default else "none",
                card.default.licence if card.default else "",
                card.top1.source if card.top1 else "",
            ]
            for card in cards
        ],
        right=["input", "parameters", "multiply-adds", "top-1"],
    )


def info(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model, as 'keras-archs list' prints it.")],
    as_json: JsonOption = False,
) -> None:
    """Show the card of a model: paper, builder, input, preprocessing, cost and weights."""
    card = model_card(name)
    if as_json:
        write_json(_as_json(card))
        return
    for title, text in _facts(card):
        typer.echo(f"{title:<15}{text}".rstrip())


def _facts(card: ModelCard) -> list[tuple[str, str]]:
    preprocessing, cost, default = card.preprocessing, card.cost, card.default
    top1, published = card.top1, card.published
    return [
        ("name", card.name),
        ("title", card.title),
        ("family", card.family),
        ("builder", f"keras_archs.{card.builder}({_arguments(card)})"),
        ("paper", f"{card.paper.title} ({card.paper.year}), https://arxiv.org/abs/{card.paper.arxiv}"),
        ("input", f"{_input(card)}, {'RGB' if preprocessing.channels == 3 else 'greyscale'}"),
        ("preprocessing", f"{preprocessing.interpolation}, centre crop of {preprocessing.crop_fraction:.4g}"),
        ("", f"(pixel - mean) / std; mean {_numbers(preprocessing.mean)}, std {_numbers(preprocessing.std)}"),
        ("parameters", f"{cost.trainable:,} trainable, {cost.non_trainable:,} non-trainable"),
        ("multiply-adds", f"{cost.macs:,}"),
        ("top-1", f"{top1.value} % ({top1.source})" if top1 else "not published"),
        *([("", f"authors: {published.value} % ({published.source})")] if published and published != top1 else []),
        ("weights", f'"{default.dataset}" stands for "{default.tag}"' if default else f"none: {card.without_weights}"),
        *([("", f"with {_call(default.arguments)}")] if default and default.arguments else []),
        *([("", f"licence: {default.licence}")] if default else []),
        *([("", f"others: {', '.join(tags)}")] if (tags := _other_tags(card)) else []),
    ]


def _call(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _other_tags(card: ModelCard) -> list[str]:
    """Return the tags of the weights besides the default."""
    return [entry.tag for entry in list_weights(card.name) if not entry.default]


def _as_json(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "title": card.title,
        "family": card.family,
        "builder": card.builder,
        "arguments": dict(card.arguments),
        "paper": {"title": card.paper.title, "year": card.paper.year, "arxiv": card.paper.arxiv},
        "preprocessing": card.preprocessing.to_json(),
        "parameters": {"trainable": card.cost.trainable, "non_trainable": card.cost.non_trainable},
        "macs": card.cost.macs,
        "top1": _accuracy(card.top1),
        "published_top1": _accuracy(card.published),
        "default_weights": card.default.tag if card.default else None,
        "licence": card.default.licence if card.default else None,
        "weights": list(card.weights),
    }


def _accuracy(accuracy: Accuracy | None) -> dict[str, Any] | None:
    return {"value": accuracy.value, "source": accuracy.source} if accuracy else None


def _arguments(card: ModelCard) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in card.arguments.items())


def _input(card: ModelCard) -> str:
    height, width = card.preprocessing.size
    return f"{height}x{width}"


def _millions(number: int) -> str:
    return f"{number / 1e6:,.1f} M"


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6g}" for value in values)
