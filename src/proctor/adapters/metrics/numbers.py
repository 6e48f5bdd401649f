"""What is a figure: a finite number; a yes or no counts as 1 or 0, and a text is none."""

from __future__ import annotations

import math

from decimal import Decimal
from typing import Any

from proctor.errors import Unmeasured


def number(name: str, value: Any) -> float:
    """The value as a number; Unmeasured where it is none, without the value itself."""
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float | Decimal):
        raise unmeasured(f"gave no number for {name}", f"{_kind(value)} in its place")
    try:
        told = value if isinstance(value, int) else float(value)
        finite = math.isfinite(told)
    except (OverflowError, ValueError):
        finite = False
    if not finite:
        raise unmeasured(f"gave no number for {name}", "NaN, infinity, or more than can be held")
    return told


def unmeasured(what: str, found: str = "", fix: str = "") -> Unmeasured:
    """Nothing is known of the number: the question failed, or its answer is no use."""
    return Unmeasured(f"the metric's source {what}", found=found, fix=fix)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
