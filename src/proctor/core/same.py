"""Whether a stored value and a computed one are the same, for a check and never for a write."""

from __future__ import annotations

import json
import math

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

TOLERANCE = 1e-9
"""Relative difference below which two numbers count as the same: float4 and numeric(p, s) round."""


def same(stored: Any, computed: Any) -> bool:
    """Compare across the types in which a database hands a value back.

    Numbers by value, JSON text with the structure it holds, times with their ISO text. Exact
    comparison of what was written is the store's, by images.
    """
    if stored is None or computed is None:
        return stored is computed
    if _number(stored) and _number(computed):
        return math.isclose(float(stored), float(computed), rel_tol=TOLERANCE) or (
            math.isnan(float(stored)) and math.isnan(float(computed))
        )
    if isinstance(stored, str) and isinstance(computed, Mapping | list | tuple):
        return _parses_to(stored, computed)
    if isinstance(stored, Mapping) and isinstance(computed, Mapping):
        return stored.keys() == computed.keys() and all(
            same(v, computed[k]) for k, v in stored.items()
        )
    if _sequence(stored) and _sequence(computed):
        return len(stored) == len(computed) and all(
            same(a, b) for a, b in zip(stored, computed, strict=True)
        )
    return bool(stored == computed) or text_of(stored) == text_of(computed)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _parses_to(text: str, value: Any) -> bool:
    try:
        return same(json.loads(text), value)
    except ValueError:
        return False


def text_of(value: Any) -> str | None:
    """A value as a person reads it in a preview; None for null."""
    match value:
        case None:
            return None
        case str():
            return value
        case bytes():
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
