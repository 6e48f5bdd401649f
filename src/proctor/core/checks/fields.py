"""Finds the value that a check is about, and the texts and numbers in it."""

from __future__ import annotations

import json
import struct

from collections.abc import Mapping, Sequence
from typing import Any, Final

MISSING: Final = object()
"""There is no such field: another thing than a null."""


def look(values: Mapping[str, Any], name: str) -> Any:
    """The value of `column` or `column.path`; MISSING where its column is not there.

    A path goes through documents, also where a column keeps them as JSON text; where it ends
    early the value is None, as the database says.
    """
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        head = ".".join(parts[:count])
        if head in values:
            value = values[head]
            for part in parts[count:]:
                value = _document(value).get(part)
            return value
    return MISSING


def _document(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def texts(value: Any) -> list[str] | None:
    """Every text in a value, in order; None where it is neither text nor holds any."""
    match value:
        case str():
            return [value]
        case Mapping():
            parts: Sequence[Any] = list(value.values())
        case list() | tuple():
            parts = value
        case _:
            return None
    return [text for part in parts for text in texts(part) or ()]


def numbers(value: Any) -> list[float] | None:
    """A vector's numbers: of a list, of text as pgvector and JSON write it, or of 4-byte floats.

    None where it is no vector. Infinity and NaN are numbers here: somebody has to find them.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value.replace("nan", "NaN").replace("inf", "Infinity"))
        except (ValueError, RecursionError):  # a model that is stuck gives thousands of brackets
            return None
    elif isinstance(value, bytes):
        if len(value) % 4:
            return None
        value = struct.unpack(f"<{len(value) // 4}f", value)
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return None
    if not {float, int}.issuperset(map(type, value)):
        return None
    try:
        return [float(number) for number in value]
    except OverflowError:
        return None  # an integer that no float can hold
