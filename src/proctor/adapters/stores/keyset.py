"""Keyset predicates: the part of a table behind a key, written so that an index serves it.

A part of a key is a pair (expression, descending). `place(i)` gives the placeholder of the
i-th part of the key compared with. Equal directions become one row-value comparison; mixed
ones the same thing spelled out, led by a condition on the first column that an index can use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

Parts: TypeAlias = Sequence[tuple[str, bool]]


def order_by(parts: Parts, *, backwards: bool = False) -> str:
    """The ORDER BY list of the scan order, or of its reverse."""
    return ", ".join(f"{sql} DESC" if down is not backwards else sql for sql, down in parts)


def behind(parts: Parts, place: Callable[[int], str], *, inclusive: bool = False) -> str:
    """Rows that the scan meets after a key (or from it on)."""
    return _compare(parts, place, forward=True, inclusive=inclusive)


def up_to(parts: Parts, place: Callable[[int], str], *, inclusive: bool = True) -> str:
    """Rows that the scan meets up to a key, itself included."""
    return _compare(parts, place, forward=False, inclusive=inclusive)


def _compare(parts: Parts, place: Callable[[int], str], *, forward: bool, inclusive: bool) -> str:
    signs = [">" if down is not forward else "<" for _, down in parts]
    equal = "=" if inclusive else ""
    if len(set(signs)) == 1:
        left = ", ".join(sql for sql, _ in parts)
        right = ", ".join(place(i) for i in range(len(parts)))
        if len(parts) == 1:
            return f"{left} {signs[0]}{equal} {right}"
        return f"({left}) {signs[0]}{equal} ({right})"
    return f"({parts[0][0]} {signs[0]}= {place(0)} AND {_nested(parts, place, signs, 0, equal)})"


def _nested(
    parts: Parts, place: Callable[[int], str], signs: Sequence[str], i: int, equal: str
) -> str:
    sql, _ = parts[i]
    if i == len(parts) - 1:
        return f"{sql} {signs[i]}{equal} {place(i)}"
    rest = _nested(parts, place, signs, i + 1, equal)
    return f"({sql} {signs[i]} {place(i)} OR ({sql} = {place(i)} AND {rest}))"
