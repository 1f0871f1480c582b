"""How the OpenAPI document describes arrays of a fixed length."""

from __future__ import annotations

from pydantic import WithJsonSchema


def fixed_array(length: int, *types: str) -> WithJsonSchema:
    """Return the schema of an array, as an annotation of a tuple.

    Pydantic would write `prefixItems`, which generators of clients and of tests read in different ways.

    Args:
        length: Number of items.
        *types: JSON types that an item may have.
    """
    item = types[0] if len(types) == 1 else list(types)
    return WithJsonSchema({"type": "array", "items": {"type": item}, "minItems": length, "maxItems": length})
