"""JSON of a whole column of values in one call: the encoder's own set-up costs more than a row."""

from __future__ import annotations

import json

from collections.abc import Callable, Sequence
from typing import Any, Final

MARK: Final = "\x1e"
COMPACT: Final = (",", ":")
SPACED: Final = (", ", ": ")
"""As Postgres prints jsonb."""


def texts(
    column: Sequence[Any], *, default: Callable[[Any], Any] | None = None
) -> list[str] | None:
    """The compact JSON text of each value; None where they must be looked at one by one.

    That is where one of them is no JSON, holds NaN or itself, or holds a list with the mark in
    it: then the list would fall into more pieces than there are values, and never into fewer.
    """
    whole = _encoded(column, COMPACT, default)
    if whole is None:
        return None
    found = whole.split(_between(COMPACT))
    return found if len(found) == len(column) else None


def cells(column: Sequence[Any], separators: tuple[str, str]) -> list[bytes] | None:
    """The same in UTF-8, between these marks; None also for half a character."""
    whole = _encoded(column, separators, None)
    if whole is None:
        return None
    try:
        found = whole.encode().split(_between(separators).encode())
    except UnicodeEncodeError:
        return None
    return found if len(found) == len(column) else None


def _encoded(
    column: Sequence[Any], separators: tuple[str, str], default: Callable[[Any], Any] | None
) -> str | None:
    """The values as one list, with the mark between them."""
    marked: list[Any] = [MARK] * (2 * len(column) - 1)
    marked[::2] = column
    encoder = json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        separators=separators,
        default=default,
        check_circular=False,
    )
    try:
        return encoder.encode(marked)[1:-1]
    except (TypeError, ValueError, RecursionError):
        return None


def _between(separators: tuple[str, str]) -> str:
    """What stands between two values of the list: the mark as JSON, with the list's commas."""
    comma = separators[0]
    return f'{comma}"\\u001e"{comma}'
