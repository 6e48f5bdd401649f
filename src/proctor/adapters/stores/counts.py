"""The whole numbers of a user's SELECT: what a metric in SQL has to give, and its moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from proctor.adapters.stores.params import rewrite, used
from proctor.errors import TargetError

FIX = (
    "write one SELECT of one row whose columns are named whole numbers, counts such as events and "
    "total and never a ratio: SELECT count(*) AS total, count(paid_at) AS events FROM orders"
)


def counts(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, int]:
    """The only row by its columns' names; TargetError where there is more, less or no number."""
    if len(rows) != 1:
        raise refused("does not give exactly one row", f"{len(rows):,} rows", for_good=bool(rows))
    found: dict[str, int] = {}
    for name, value in zip(names, rows[0], strict=True):
        if not name.isidentifier():
            raise refused("has a column without a name", name)
        if name in found:
            raise refused("has two columns of one name", name)
        found[name] = _whole(name, value)
    return found


def _whole(name: str, value: Any) -> int:
    if value is None:
        why = "null, as sum() of no rows: coalesce(sum(…), 0)"
        raise refused(f"gives nothing for {name}", why, for_good=False)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise refused(f"does not give a whole number for {name}", type(value).__name__)
    # By its type: a ratio that happens to be whole today is no count.
    if isinstance(value, Decimal) and not (value.is_finite() and value.as_tuple().exponent == 0):
        raise refused(f"does not give a whole number for {name}", "a number with a fraction")
    return int(value)


def moments(since: datetime | None, until: datetime | None) -> dict[str, datetime]:
    """What `:since` and `:until` stand for, in UTC."""
    told = {"since": since, "until": until}
    return {name: at.astimezone(UTC) for name, at in told.items() if at is not None}


def iso(moment: datetime) -> str:
    """As SQLite's own functions write a moment, to the microsecond: it sorts as text."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def placed(sql: str, known: Mapping[str, Any], place: Callable[[str], str]) -> str:
    """The SQL with its parameters in place; TargetError where one is not known."""
    if lost := [name for name in used(sql) if name not in known]:
        have = ", ".join(f":{name}" for name in sorted(known)) or "none"
        error = TargetError(
            f"the SQL of a metric asks for :{lost[0]}, which is not given here",
            found=f"given are: {have}",
            fix="leave it out, or write the colon inside quotes",
        )
        error.for_good = True
        raise error
    return rewrite(sql, known, place)


def refused(what: str, found: str = "", *, for_good: bool = True) -> TargetError:
    """for_good: whether it says so whatever rows there are, and not because there are none yet."""
    error = TargetError(f"the SQL of a metric {what}", found=found, fix=FIX)
    error.for_good = for_good
    return error
