"""Large numbers as people write them."""

import pytest
import typer

from keras_archs.cli.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"), [("500M", 5e8), ("1.5G", 1.5e9), (" 20k ", 2e4), ("5e8", 5e8), ("4089184256", 4_089_184_256)]
)
def test_thousands_millions_and_billions(text: str, number: float) -> None:
    assert parse_quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "M", "0", "-5M", "5T", "5 MM", "nan", "inf", "many", "1e400"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"500M, 1\.5G or 5e8, above 0; got"):
        parse_quantity(text)
