"""JSON of a whole column of values in one call: the encoder's own set-up costs more than a row."""

from __future__ import annotations

import json

from collections.abc import Callable, Sequence
from typing import Any, Final

MARK: Final = "\x1e"
BETWEEN: Final = ',"\\u001e",'
"""What stands between two values of the list: the mark as JSON, with the list's commas."""


def texts(
    column: Sequence[Any], *, default: Callable[[Any], Any] | None = None
) -> list[str] | None:
    """The compact JSON text of each value; None where they must be looked at one by one.

    That is where one of them is no JSON, holds NaN or itself, or holds a list with the mark in
    it: then the list would fall into more pieces than there are values, and never into fewer.
    """
    marked: list[Any] = [MARK] * (2 * len(column) - 1)
    marked[::2] = column
    encoder = json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=default,
        check_circular=False,
    )
    try:
        found = encoder.encode(marked)[1:-1].split(BETWEEN)
    except (TypeError, ValueError, RecursionError):
        return None
    return found if len(found) == len(column) else None
