"""Nested lists of numbers become the same pixels that they describe, or are refused in words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from serving.core.errors import InvalidParameterError
from serving.protocols.tensorflow_rest.pixels import pixels_from_lists


@given(
    arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_lists_become_the_array_that_they_describe(
    pixels: NDArray[np.uint8], indent: int | None, separators: tuple[str, str]
) -> None:
    text = json.dumps(pixels.tolist(), indent=indent, separators=separators).encode()
    np.testing.assert_array_equal(pixels_from_lists(text, "instances"), pixels)


def test_numbers_are_read_beyond_the_size_of_one_part() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 250, 250, 3), np.uint8)
    np.testing.assert_array_equal(pixels_from_lists(json.dumps(pixels.tolist()).encode(), "instances"), pixels)


@pytest.mark.parametrize("text", ["[[1, 2], [3]]", "[[1], 2]", "[1, [2]]", "[[[1]], [2]]", "[[1], [[2]]]"])
def test_ragged_lists_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="instances is ragged"):
        pixels_from_lists(text.encode(), "instances")


@pytest.mark.parametrize("text", ["[]", "[[1], []]", "[[ ]]"])
def test_empty_lists_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="instances has an empty list"):
        pixels_from_lists(text.encode(), "instances")


@pytest.mark.parametrize("received", ["0.5", "12.0", "-4", "2e3", "true", "null", '"foo"', "NaN"])
def test_what_is_no_whole_number_is_refused_and_shown(received: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"whole number from 0 to 255.*got {received}$"):
        pixels_from_lists(f"[[1, 2], [ 3,{received}]]".encode(), "instances")


@pytest.mark.parametrize("received", ["256", "1000", "9" * 40])
def test_a_number_above_255_is_refused_with_its_place(received: str) -> None:
    with pytest.raises(InvalidParameterError, match=r"instances\[1\]\[0\]: .* got a larger number"):
        pixels_from_lists(f"[[1, 2], [{received}, 3]]".encode(), "instances")


def test_too_many_images_are_refused_before_their_numbers_are_read() -> None:
    with pytest.raises(InvalidParameterError, match="at most 2 images; got 3"):
        pixels_from_lists(b"[[999], [999], [999]]", "instances", max_images=2)


def test_lists_in_more_levels_than_images_have_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="lists in 500 levels; images have 4"):
        pixels_from_lists(b"[" * 500 + b"1" + b"]" * 500, "instances")
