"""Shared arguments have one description each, of which a family overrides the default or adds a sentence."""

import inspect
from typing import Annotated, TypedDict, get_type_hints

import pytest

import keras_archs
from keras_archs.layers.options import DropoutRate, Option, Override, SeRatio, option_of


class Options(TypedDict, total=False):
    plain: DropoutRate
    default: Annotated[DropoutRate, Override(default=0.3)]
    note: Annotated[SeRatio, Override(note="After each block.")]
    none: Annotated[DropoutRate, Override(default=None)]
    twice: Annotated[Annotated[DropoutRate, Override(default=0.3)], Override(note="In training.")]


@pytest.fixture
def options() -> dict[str, tuple[type, Option]]:
    return {name: option_of(hint) for name, hint in get_type_hints(Options, include_extras=True).items()}


def test_an_override_changes_the_default_and_adds_a_sentence(options: dict[str, tuple[type, Option]]) -> None:
    _, shared = option_of(DropoutRate)
    _, ratio = option_of(SeRatio)
    assert {name: option.default for name, (_, option) in options.items()} == {
        "plain": 0.0, "default": 0.3, "note": None, "none": None, "twice": 0.3
    }  # fmt: skip
    assert options["plain"] == (float, shared)
    assert options["default"][1].doc == shared.doc
    assert options["note"][1].doc == f"{ratio.doc} After each block."
    assert options["twice"][1].doc == f"{shared.doc} In training."


def test_an_override_keeps_type_and_check(options: dict[str, tuple[type, Option]]) -> None:
    for type_, option in options.values():
        assert type_ in (float, float | None)
        assert option.allowed(0.5)
        assert not option.allowed(-0.5)
    assert not options["twice"][1].allowed(1)


def test_help_says_meaning_and_range_of_each_argument() -> None:
    rate = "at least 0 and less than 1"
    for builder in {keras_archs.model_card(name).builder for name in keras_archs.list_models()}:
        build = getattr(keras_archs, builder)
        documentation = " ".join((inspect.getdoc(build) or "").split())
        for name in inspect.signature(build).parameters:
            text = documentation.partition(f" {name}: ")[2]
            assert text, (builder, name)
            assert {"dropout_rate": rate, "drop_path_rate": rate, "se_ratio": "positive"}.get(name, "") in text
