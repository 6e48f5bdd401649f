"""What stands on the bills of runs, in the ledger's tables."""

from __future__ import annotations

import json

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.ledger.schema import BILLS, HOLDS
from proctor.adapters.ledger.till import together
from proctor.model import Bill

MONEY: Final = frozenset({"usd", "batched_usd"})
OF_HOLDS: Final = frozenset({"flying", "held_usd"})
"""What the holds themselves tell is never written down twice."""

_RUNS: Final[sa.BindParameter[Any]] = sa.bindparam("runs", expanding=True)
_OF_RUNS: Final = sa.select(BILLS).where(BILLS.c.run.in_(_RUNS))
_HELD: Final = sa.select(HOLDS.c.run, HOLDS.c.provider, HOLDS.c.usd).where(HOLDS.c.run.in_(_RUNS))


def bills_of(connection: sa.Connection, runs: Sequence[str]) -> list[Bill]:
    """What those runs have asked so far, with what they hold."""
    written = [_bill(row) for row in connection.execute(_OF_RUNS, {"runs": runs})]
    held = [
        Bill(run=row.run, provider=row.provider, flying=1, held_usd=Decimal(row.usd))
        for row in connection.execute(_HELD, {"runs": runs})
    ]
    return together([*written, *held])


def add_bills(connection: sa.Connection, bills: Iterable[Bill], insert: Any) -> None:
    """Add to what stands there already. The rows of their providers' limits must be locked."""
    new = together(bills)
    if not new:
        return
    rows = connection.execute(_OF_RUNS, {"runs": sorted({bill.run for bill in new})})
    known = {(row.run, row.provider): _bill(row) for row in rows}
    for bill in new:
        name = (bill.run, bill.provider)
        counts = _text(known[name] + bill if name in known else bill)
        put = insert(BILLS).values(run=bill.run, provider=bill.provider, counts=counts)
        unique = [BILLS.c.run, BILLS.c.provider]
        connection.execute(
            put.on_conflict_do_update(index_elements=unique, set_={"counts": counts})
        )


def _text(bill: Bill) -> str:
    """As it is kept: JSON with what is not 0, money as text."""
    counts = {
        name: str(value) if name in MONEY else value
        for name in Bill.__dataclass_fields__
        if name not in OF_HOLDS and name not in ("run", "provider")
        if (value := getattr(bill, name))
    }
    return json.dumps(counts, separators=(",", ":"))


def _bill(row: sa.Row[Any]) -> Bill:
    counts = json.loads(row.counts)
    counts |= {name: Decimal(counts[name]) for name in MONEY & counts.keys()}
    # What a newer Proctor counts besides is none of ours.
    known = {name: counts[name] for name in counts.keys() & Bill.__dataclass_fields__.keys()}
    return Bill(run=row.run, provider=row.provider, **known)


__all__ = ["add_bills", "bills_of"]
