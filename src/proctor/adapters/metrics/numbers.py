"""What is a figure: a finite number; a yes or no counts as 1 or 0, and a text is none."""

from __future__ import annotations

import math

from decimal import Decimal
from typing import Any, Final

from proctor.errors import Unmeasured

MISSING: Final = (404, 410)
REFUSED: Final = (400, 401, 403, 405, 406, 414, 501)
"""What is wrong in the question itself, as a web server says it."""


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


def unmeasured(
    what: str, found: str = "", fix: str = "", *, status: int | None = None
) -> Unmeasured:
    """Nothing is known of the number: the question failed, or its answer is no use.

    status: of the web server that refused the question; by some it says that it always will.
    """
    error = Unmeasured(f"the metric's source {what}", found=found, fix=fix)
    error.missing = status in MISSING
    error.for_good = error.missing or status in REFUSED
    return error


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
