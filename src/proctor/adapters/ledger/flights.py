"""Calls in flight as the ledger's tables hold them: by whom, until when, for which questions."""

from __future__ import annotations

import math

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.ledger.schema import ANSWERS, ASKED, HOLDS
from proctor.adapters.ledger.till import Held
from proctor.core.allowed import Taken
from proctor.model import Holder, Want
from proctor.ports import Word

PAGE: Final = 500
"""Values in one statement: old SQLite takes 999."""
LOOK_EVERY_S: Final = 1.0
"""Seconds between two looks at who holds all places, while some wait for one."""

_AMONG: Final[sa.BindParameter[Any]] = sa.bindparam("among", expanding=True)
_AT: Final[sa.BindParameter[Any]] = sa.bindparam("at")
_NUMBERED: Final = sa.select(HOLDS).where(HOLDS.c.number.in_(_AMONG))
_LET_GO: Final = sa.delete(HOLDS).where(HOLDS.c.number.in_(_AMONG))
_UNASKED: Final = sa.delete(ASKED).where(ASKED.c.number.in_(_AMONG))
_ANSWERED: Final = sa.select(ANSWERS.c.key).where(ANSWERS.c.key.in_(_AMONG))
_IN_FLIGHT: Final = sa.select(HOLDS).where(HOLDS.c.provider.in_(_AMONG), HOLDS.c.expires > _AT)
_SAME: Final = (
    sa.select(ASKED.c.key.label("question"), HOLDS)
    .join(HOLDS, HOLDS.c.number == ASKED.c.number)
    .where(ASKED.c.key.in_(_AMONG), HOLDS.c.expires > _AT)
)
_LANDED: Final = sa.update(HOLDS).where(HOLDS.c.number.in_(_AMONG)).values(expires=0)


@dataclass(slots=True)
class Lookout:
    """When to look at who holds the places of a provider: only while somebody wants one."""

    short: bool = False
    looked: float = -math.inf
    flying: Sequence[Held] = ()
    """Who held them when they were last looked at."""

    def due(self) -> bool:
        """Whether to look now."""
        return self.short and monotonic() - self.looked >= LOOK_EVERY_S

    def saw(self, flying: Sequence[Held]) -> None:
        """Take down who holds them."""
        self.looked, self.flying = monotonic(), flying

    def heard(self, words: Iterable[Word]) -> None:
        """Take down whether somebody wants one."""
        self.short = any(getattr(word, "for_others", False) for word in words)
        if not self.short:
            self.flying = ()


def known(
    connection: sa.Connection, wants: Iterable[Want], now: datetime
) -> dict[str, Held | None]:
    """Of the questions, those that are in flight, and with None those that are answered."""
    keys = sorted({key for want in wants for key in want.keys})
    found: dict[str, Held | None] = {}
    for page in pages(keys):
        rows = connection.execute(_SAME, {"among": page, "at": now.timestamp()})
        found |= {row.question: held(row) for row in rows}
        found |= dict.fromkeys(connection.execute(_ANSWERED, {"among": page}).scalars())
    return found


def in_flight(connection: sa.Connection, providers: Iterable[str], now: datetime) -> list[Held]:
    """Every call of these providers that may be in flight."""
    words = {"among": sorted(providers), "at": now.timestamp()}
    return [held(row) for row in connection.execute(_IN_FLIGHT, words)]


def landed(connection: sa.Connection, holds: Iterable[Held]) -> None:
    """Take down that these calls are in flight no more; what they hold stays spent."""
    for page in pages(sorted(one.number for one in holds)):
        connection.execute(_LANDED, {"among": page})


def keep(connection: sa.Connection, holds: Sequence[Held], insert: Callable[..., Any]) -> None:
    """Take down new holds and their questions, also where a dead one had asked them."""
    connection.execute(sa.insert(HOLDS), [_row(one) for one in holds])
    asked = insert(ASKED)
    takes_over = asked.on_conflict_do_update(
        index_elements=[ASKED.c.key], set_={"number": asked.excluded.number}
    )
    numbers = {key: one.number for one in holds for key in (one.key, *one.more)}
    # In order of key: two who lock the same rows in different orders would wait for each other.
    connection.execute(takes_over, [{"key": k, "number": numbers[k]} for k in sorted(numbers)])


def let_go(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, Held]:
    """Those of the holds that are not settled, removed: each is settled once."""
    found: dict[int, Held] = {}
    for page in pages(numbers):
        rows = connection.execute(_NUMBERED, {"among": page}).all()
        connection.execute(_LET_GO, {"among": page})
        connection.execute(_UNASKED, {"among": page})
        found |= {row.number: held(row) for row in rows}
    return found


def _row(one: Held) -> Mapping[str, Any]:
    return {
        "number": one.number,
        "provider": one.provider,
        "key": one.key,
        "second": one.taken.quarter,  # as the column was first called
        "expires": one.taken.expires,
        "tokens": one.taken.tokens,
        "usd": str(one.taken.usd),
        "host": one.holder.host,
        "pid": one.holder.pid,
        "started": one.holder.started,
        "run": one.run,
    }


def held(row: sa.Row[Any]) -> Held:
    """A hold as it was kept."""
    return Held(
        number=row.number,
        provider=row.provider,
        key=row.key,
        taken=Taken(
            quarter=row.second, expires=row.expires, tokens=row.tokens, usd=Decimal(row.usd)
        ),
        holder=Holder(host=row.host, pid=row.pid, started=row.started, user=""),
        run=row.run,
    )


def pages(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Values for one statement after the other."""
    return (values[at : at + PAGE] for at in range(0, len(values), PAGE))


__all__ = ["Lookout", "in_flight", "keep", "known", "landed", "let_go", "pages"]
