"""Rollouts in the ledger's database: an append-only log for each, and one row that guards it."""

from __future__ import annotations

import json

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from proctor.adapters.ledger.connected import Connected
from proctor.adapters.ledger.record import encode
from proctor.adapters.ledger.schema import ENTRIES, ROLLOUTS
from proctor.errors import Fenced, RunActive, UsageError
from proctor.model import Event, Holder, LogEntry, Rollout, RolloutState
from proctor.ports import Clock


class SqlRolloutLog(Connected):
    """ports.RolloutLog on SQLAlchemy.

    The number of the last entry stands on the rollout's row: who appends must know it, so that
    nobody decides by a log that has moved on. Whether a driver lives is told by one clock, the
    database's, whatever the machines of drivers believe.
    """

    def __init__(
        self, engine: sa.Engine, redact: Callable[[str], str], clock: Clock | None = None
    ) -> None:
        """Wrap an engine; `ready` brings its tables up to date."""
        super().__init__(engine, clock)
        self._redact = redact

    @classmethod
    async def open(
        cls, url: str, *, redact: Callable[[str], str] = str, clock: Clock | None = None
    ) -> SqlRolloutLog:
        """Connect and bring the tables up to date; the errors of `open_ledger`."""
        return await cls(cls.engine_for(url), redact, clock).ready()

    async def now(self) -> datetime:
        """See the port."""

        def ask() -> datetime:
            with self._engine.connect() as connection:
                return self._now(connection)

        return await self._in_thread(ask)

    async def begin(self, rollout: Rollout, entries: Sequence[LogEntry], /) -> Rollout:
        """See the port."""
        begun = replace(rollout, number=len(entries))
        rows = self._records(rollout.id, 0, entries)

        def write() -> None:
            with self._writing() as connection:
                other = connection.execute(
                    sa.select(ROLLOUTS).where(
                        ROLLOUTS.c.env == rollout.env,
                        ROLLOUTS.c.name == rollout.name,
                        ROLLOUTS.c.open == 1,
                    )
                ).one_or_none()
                if other is not None and other.id != rollout.id:
                    raise _under_way(_rollout(other))
                if other is None:
                    connection.execute(sa.insert(ROLLOUTS), [_row(begun)])
                    connection.execute(sa.insert(ENTRIES), rows)

        await self._in_thread(lambda: self._repeated(write))
        return begun

    async def rollouts(self, env: str, /) -> list[Rollout]:
        """See the port."""
        query = (
            sa.select(ROLLOUTS)
            .where(ROLLOUTS.c.env == env)
            .order_by(ROLLOUTS.c.created.desc(), ROLLOUTS.c.id.desc())
        )
        return [_rollout(row) for row in await self._in_thread(lambda: self._rows(query))]

    async def rollout(self, rollout: str, /) -> Rollout:
        """See the port."""
        query = sa.select(ROLLOUTS).where(ROLLOUTS.c.id.startswith(rollout, autoescape=True))
        found = [_rollout(row) for row in await self._in_thread(lambda: self._rows(query))]
        exact = [one for one in found if one.id == rollout]
        if len(exact or found) == 1:
            return (exact or found)[0]
        raise UsageError(
            f"there is no rollout {rollout}" if not found else f"{rollout} may be several rollouts",
            found=", ".join(one.id for one in found) or "none in this ledger",
            fix="see `proctor rollout` for those there are",
        )

    async def entries(self, rollout: str, /, *, after: int = 0) -> list[LogEntry]:
        """See the port."""
        query = (
            sa.select(ENTRIES)
            .where(ENTRIES.c.rollout == rollout, ENTRIES.c.number > after)
            .order_by(ENTRIES.c.number)
        )
        return [_entry(row) for row in await self._in_thread(lambda: self._rows(query))]

    async def take(
        self, rollout: str, holder: Holder, /, *, lease_for: timedelta, dead: bool
    ) -> Rollout:
        """See the port."""
        held = json.dumps(asdict(holder))

        def write() -> None:
            with self._writing() as connection:
                row = connection.execute(
                    sa.select(ROLLOUTS).where(ROLLOUTS.c.id == rollout).with_for_update()
                ).one()
                if row.holder == held:
                    return  # a reply that was lost: it is ours already
                found, at = _rollout(row), self._now(connection)
                alive = found.holder is not None and at - found.beat < lease_for and not dead
                if alive:
                    raise _under_way(found)
                connection.execute(
                    sa.update(ROLLOUTS)
                    .where(ROLLOUTS.c.id == rollout)
                    .values(epoch=ROLLOUTS.c.epoch + 1, holder=held, beat=_text(at))
                )

        await self._in_thread(lambda: self._repeated(write))
        return await self.rollout(rollout)

    async def add(
        self,
        rollout: Rollout,
        entries: Sequence[LogEntry],
        /,
        *,
        state: RolloutState | None = None,
        driving: bool = True,
    ) -> Rollout:
        """See the port."""
        rows = self._records(rollout.id, rollout.number, entries)
        then = state or rollout.state
        added = replace(rollout, number=rollout.number + len(entries), state=then)
        guard = [ROLLOUTS.c.id == rollout.id, ROLLOUTS.c.number == rollout.number]
        if driving:
            guard.append(ROLLOUTS.c.epoch == rollout.epoch)
        move = (
            sa.update(ROLLOUTS)
            .where(*guard)
            .values(number=added.number, state=then.value, open=int(not then.ended))
        )

        def write() -> None:
            with self._writing() as connection:
                if connection.execute(move).rowcount == 1:
                    if rows:
                        connection.execute(sa.insert(ENTRIES), rows)
                elif not rows or not self._stand(connection, rows):
                    raise Fenced(
                        f"rollout {rollout.id} has moved on",
                        found=f"more than {rollout.number} entries, or another process drives it",
                    )

        await self._in_thread(lambda: self._repeated(write))
        return added

    def _stand(self, connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> bool:
        """Whether these very entries are there: a COMMIT whose reply was lost did it."""
        first, last = rows[0]["number"], rows[-1]["number"]
        query = sa.select(ENTRIES).where(
            ENTRIES.c.rollout == rows[0]["rollout"], ENTRIES.c.number.between(first, last)
        )
        found = connection.execute(query.order_by(ENTRIES.c.number)).all()
        return [row._asdict() for row in found] == list(rows)

    async def beat(self, rollout: Rollout, /) -> None:
        """See the port."""
        if not await self._changed(rollout, lambda now: {"beat": _text(now)}):
            raise Fenced(f"rollout {rollout.id} is driven by another process")

    async def release(self, rollout: Rollout, /) -> None:
        """See the port."""
        await self._changed(rollout, lambda _now: {"holder": ""})

    async def _changed(
        self, rollout: Rollout, change: Callable[[datetime], dict[str, str]]
    ) -> bool:
        """Change its row, while it is driven under this epoch; whether it is."""
        counts: list[int] = []
        held = sa.update(ROLLOUTS).where(
            ROLLOUTS.c.id == rollout.id, ROLLOUTS.c.epoch == rollout.epoch
        )

        def write() -> None:
            with self._writing() as connection:
                change_to = held.values(**change(self._now(connection)))
                counts.append(connection.execute(change_to).rowcount)

        await self._in_thread(lambda: self._repeated(write))
        return counts[-1] == 1

    def _records(
        self, rollout: str, number: int, entries: Sequence[LogEntry]
    ) -> list[dict[str, Any]]:
        """Entries as the table holds them; every text in them is redacted."""
        rows = []
        for place, entry in enumerate(entries, number + 1):
            event = Event(
                name=entry.kind, at=entry.at, run=rollout, env="", who=entry.who, data=entry.data
            )
            kept = encode(event, self._redact)
            rows.append(
                {
                    "rollout": rollout,
                    "number": place,
                    "kind": kept.name,
                    "at": kept.at,
                    "who": kept.who,
                    "data": kept.data,
                }
            )
        return rows


def _under_way(other: Rollout) -> RunActive:
    by = f", driven by {other.holder}" if other.holder else ""
    return RunActive(
        f"a rollout of {other.name} is under way in environment {other.env}",
        found=f"{other.id} is {other.state.value}{by}, last heard of at {other.beat:%H:%M:%S} UTC",
        fix=f"let it go on; or end it with `proctor reject {other.id} --reason …`",
    )


def _row(rollout: Rollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "name": rollout.name,
        "env": rollout.env,
        "state": rollout.state.value,
        "open": int(not rollout.state.ended),
        "number": rollout.number,
        "epoch": rollout.epoch,
        "holder": json.dumps(asdict(rollout.holder)) if rollout.holder else "",
        "beat": _text(rollout.beat),
        "created": _text(rollout.created),
    }


def _rollout(row: sa.Row[Any]) -> Rollout:
    return Rollout(
        id=row.id,
        name=row.name,
        env=row.env,
        state=RolloutState(row.state),
        number=row.number,
        epoch=row.epoch,
        holder=Holder(**json.loads(row.holder)) if row.holder else None,
        beat=datetime.fromisoformat(row.beat),
        created=datetime.fromisoformat(row.created),
    )


def _entry(row: sa.Row[Any]) -> LogEntry:
    return LogEntry(
        kind=row.kind,
        at=datetime.fromisoformat(row.at),
        who=row.who,
        data=json.loads(row.data),
        number=row.number,
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


__all__ = ["SqlRolloutLog"]
