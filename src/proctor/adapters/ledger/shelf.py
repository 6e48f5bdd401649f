"""The answers that the ledger keeps, as rows: to be found, listed, measured and forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from proctor.adapters.ledger.schema import ANSWERS
from proctor.model import Answer, Finish, Kind, Reply, Stock, Usage


def page(
    connection: sa.Connection, *, after: str, run: str, backfill: str, most: int
) -> list[Answer]:
    """Answers after a key, in order of their keys."""
    query = sa.select(ANSWERS).where(ANSWERS.c.key > after).order_by(ANSWERS.c.key).limit(most)
    if run:
        query = query.where(ANSWERS.c.run == run)
    if backfill:
        query = query.where(ANSWERS.c.backfill == backfill)
    return [answer(row) for row in connection.execute(query)]


def stock(connection: sa.Connection) -> list[Stock]:
    """What is kept of each run, the newest last."""
    newest = sa.func.max(ANSWERS.c.at)
    query = (
        sa.select(
            ANSWERS.c.run,
            ANSWERS.c.backfill,
            sa.func.count(),
            sa.func.sum(sa.func.length(ANSWERS.c.raw)),
            sa.func.min(ANSWERS.c.at),
            newest,
        )
        .group_by(ANSWERS.c.run, ANSWERS.c.backfill)
        .order_by(newest, ANSWERS.c.run)
    )
    return [
        Stock(
            run=run,
            backfill=backfill,
            answers=count,
            size=int(size),
            oldest=datetime.fromisoformat(first),
            newest=datetime.fromisoformat(last),
        )
        for run, backfill, count, size, first, last in connection.execute(query)
    ]


def forget(connection: sa.Connection, run: str, before: datetime | None) -> int:
    """Delete the answers of a run; how many there were."""
    statement = sa.delete(ANSWERS).where(ANSWERS.c.run == run)
    if before is not None:
        statement = statement.where(ANSWERS.c.at < moment(before))
    return connection.execute(statement).rowcount


def moment(at: datetime) -> str:
    """A moment as it is kept: as text it sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def row_of(answer: Answer, redact: Callable[[str], str]) -> dict[str, Any]:
    """An answer as it is kept."""
    reply = answer.reply
    return {
        "key": answer.key,
        "kind": answer.kind.value,
        "provider": answer.provider,
        "model": answer.model,
        "raw": _storable(reply.raw),
        "finish": reply.finish.value,
        "input_tokens": reply.usage.input_tokens,
        "output_tokens": reply.usage.output_tokens,
        "cached_tokens": reply.usage.cached_tokens,
        "answered_by": _storable(reply.model),
        "cost": str(answer.cost),
        "run": _storable(redact(answer.run)),
        "at": moment(answer.at),
        "backfill": answer.backfill,
        "sensitive": int(answer.sensitive),
    }


def answer(row: sa.Row[Any]) -> Answer:
    """An answer as it was kept."""
    usage = Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
    )
    return Answer(
        key=row.key,
        kind=Kind(row.kind),
        provider=row.provider,
        model=row.model,
        reply=Reply(raw=row.raw, finish=Finish(row.finish), usage=usage, model=row.answered_by),
        cost=Decimal(row.cost),
        run=row.run,
        at=datetime.fromisoformat(row.at),
        backfill=row.backfill,
        sensitive=bool(row.sensitive),
    )


def _storable(text: str) -> str:
    """The same JSON without what databases refuse: a NUL, a lone surrogate."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\u0000")


__all__ = ["answer", "forget", "moment", "page", "row_of", "stock"]
