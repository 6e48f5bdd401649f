"""Whether a stored value and a computed one are the same, for a check and never for a write."""

from __future__ import annotations

import contextlib
import json
import math

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

TOLERANCE = 1.2e-7
"""Relative difference below which two floats count as the same: a float4 keeps 24 bits."""
ROUNDED_FROM = 2
"""From so many decimal places on, a stored decimal may have been rounded by numeric(p, s): what
is computed counts as the same within half of its last place. With fewer, the half is too much."""


def same(stored: Any, computed: Any) -> bool:
    """Compare across the types in which a database hands a value back.

    Numbers by value, a float within the precision of a float4 and a decimal at the scale that
    is stored; text with the number, time, bytes, truth or structure that it spells. Exact
    comparison of what was written is the store's, by images.
    """
    if stored is None or computed is None:
        return stored is computed
    if _number(stored) and _number(computed):
        return _close(stored, computed)
    if isinstance(stored, str) and not isinstance(computed, str):
        return stored == text_of(computed) or _spells(stored, computed)
    if isinstance(stored, Mapping) and isinstance(computed, Mapping):
        return stored.keys() == computed.keys() and all(
            same(v, computed[k]) for k, v in stored.items()
        )
    if _sequence(stored) and _sequence(computed):
        return len(stored) == len(computed) and all(
            same(a, b) for a, b in zip(stored, computed, strict=True)
        )
    return _equal(stored, computed) or text_of(stored) == text_of(computed)


def _equal(stored: Any, computed: Any) -> bool:
    try:
        return bool(stored == computed)
    except ArithmeticError:  # a signalling NaN will be compared with nothing
        return False


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _close(stored: float | Decimal, computed: float | Decimal) -> bool:
    if _nan(stored) or _nan(computed):
        return _nan(stored) and _nan(computed)
    if stored == computed:
        return True
    if not _finite(stored) or not _finite(computed):
        return False
    if isinstance(stored, Decimal) and (places := -int(stored.as_tuple().exponent)) >= ROUNDED_FROM:
        exact = Decimal(str(computed)) if isinstance(computed, float) else Decimal(computed)
        if abs(stored - exact) <= Decimal(5).scaleb(-places - 1):
            return True
    if isinstance(stored, float) or isinstance(computed, float):
        return math.isclose(float(stored), float(computed), rel_tol=TOLERANCE)
    return False


def _nan(number: float | Decimal) -> bool:
    return number.is_nan() if isinstance(number, Decimal) else number != number  # noqa: PLR0124 - only NaN differs from itself


def _finite(number: float | Decimal) -> bool:
    """Whether it is a number that a float can come near to."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _spells(text: str, value: Any) -> bool:
    """Whether a text is one of the ways in which a database writes the value."""
    found = False
    with contextlib.suppress(ValueError, ArithmeticError):
        match value:
            case bool():
                found = text.lower() in (("t", "true", "1") if value else ("f", "false", "0"))
            case int() | float() | Decimal():
                found = _close(Decimal(text), value)
            case datetime():
                found = datetime.fromisoformat(text) == value
            case bytes() | bytearray() | memoryview():
                found = bytes.fromhex(text.removeprefix("\\x")) == bytes(value)
            case Mapping() | list() | tuple():
                found = same(json.loads(text), value)
    return found


def text_of(value: Any) -> str | None:
    """A value as a person reads it in a preview; None for null."""
    match value:
        case None:
            return None
        case str():
            return value
        case bytes() | bytearray() | memoryview():
            return value.hex()
        case datetime() | date():
            return value.isoformat()
        case Mapping() | list() | tuple():
            return json.dumps(value, ensure_ascii=False, default=_plain)
        case _:
            return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    return repr(value)
