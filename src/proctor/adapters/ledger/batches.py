"""Batch calls as the ledger's tables hold them: written down before they are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.ledger.flights import pages
from proctor.adapters.ledger.schema import ASKED, BATCHES, HOLDS
from proctor.adapters.ledger.till import Held, Till
from proctor.model import BatchCall, BatchNote, BatchState, Holder

_AMONG: Final[sa.BindParameter[Any]] = sa.bindparam("among", expanding=True)
_OPEN: Final = (
    sa.select(BATCHES, HOLDS.c.usd)
    .join(HOLDS, HOLDS.c.number == BATCHES.c.number)
    .where(BATCHES.c.state != BatchState.ENDED.value)
)
_KEYS: Final = sa.select(ASKED).where(ASKED.c.number.in_(_AMONG))
_ENDED: Final = (
    sa.update(BATCHES).where(BATCHES.c.number.in_(_AMONG)).values(state=BatchState.ENDED.value)
)


def write_down(
    connection: sa.Connection, holds: Iterable[Held], mine: Holder, now: datetime
) -> None:
    """Take down those of new holds that are batch calls, with the money that is held."""
    rows = [
        {
            "number": one.number,
            "provider": one.provider,
            "run": one.run,
            "state": BatchState.RESERVED.value,
            "id": "",
            "ticket": "",
            "at": now.isoformat(),
            "note": one.batch.text(),
            "host": mine.host,
            "pid": mine.pid,
            "started": mine.started,
        }
        for one in holds
        if one.batch is not None
    ]
    if rows:
        connection.execute(sa.insert(BATCHES), rows)


def open_batches(
    connection: sa.Connection, till: Till, provider: str | None, runs: Sequence[str] | None
) -> list[BatchCall]:
    """Those that are not settled, oldest first: of a provider, or of runs."""
    query = _OPEN.order_by(BATCHES.c.at, BATCHES.c.number)
    if provider is not None:
        query = query.where(BATCHES.c.provider == provider)
    rows = connection.execute(query).all()
    rows = rows if runs is None else [row for row in rows if row.run in runs]
    keys: dict[int, set[str]] = {row.number: set() for row in rows}
    for page in pages(sorted(keys)):
        for asked in connection.execute(_KEYS, {"among": page}):
            keys[asked.number].add(asked.key)
    return [_batch(row, frozenset(keys[row.number]), till) for row in rows]


def moved(
    connection: sa.Connection,
    number: int,
    states: tuple[BatchState, BatchState],
    *,
    called: str,
    ticket: str,
) -> bool:
    """Change a batch call's state if it is in the first of them; whether it was."""
    then, now = states
    told = {"state": now.value, "id": called, "ticket": ticket}
    values = {name: value for name, value in told.items() if value}
    here = BATCHES.c.number == number
    done = connection.execute(
        sa.update(BATCHES).where(here, BATCHES.c.state == then.value).values(**values)
    )
    return done.rowcount == 1


def ended(connection: sa.Connection, numbers: Sequence[int]) -> None:
    """Take down that these are settled."""
    for page in pages(numbers):
        connection.execute(_ENDED, {"among": page})


def _batch(row: sa.Row[Any], keys: frozenset[str], till: Till) -> BatchCall:
    holder = Holder(host=row.host, pid=row.pid, started=row.started, user="")
    return BatchCall(
        number=row.number,
        provider=row.provider,
        run=row.run,
        state=BatchState(row.state),
        note=BatchNote.of(row.note),
        at=datetime.fromisoformat(row.at),
        id=row.id,
        ticket=row.ticket,
        keys=keys,
        usd=Decimal(row.usd),
        gone=till.is_dead(holder),
    )


__all__ = ["ended", "moved", "open_batches", "write_down"]
