"""The one number of a user's SELECT: what a throttle signal in SQL has to give."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from proctor.errors import TargetError


def one_number(rows: Sequence[Sequence[Any]]) -> float:
    """The only value of the only row; TargetError where there is more, less or no number."""
    value = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    shape = f"{len(rows)} rows" if len(rows) != 1 else f"{len(rows[0])} columns"
    raise TargetError(
        "the SQL of a throttle signal does not give one number",
        found=shape if value is None else type(value).__name__,
        fix="write one SELECT of one number, such as SELECT count(*) FROM outbox",
    )
