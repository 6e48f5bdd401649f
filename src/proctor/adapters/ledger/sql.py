"""The ledger in a SQL database: SQLite on one machine, Postgres for several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.ledger.chain import Chain, Head, Link, append, verify
from proctor.adapters.ledger.connected import Connected
from proctor.adapters.ledger.record import Record, decode, encode
from proctor.adapters.ledger.schema import EVENTS, HEAD
from proctor.model import Event

PAGE: Final = 1000
"""Events read at once while the chain is checked."""


class SqlLedger(Connected):
    """ports.Ledger on SQLAlchemy; made by `open`.

    Where several ledgers share a database, the row of the chain's head is what they queue for.
    """

    def __init__(self, engine: sa.Engine, redact: Callable[[str], str]) -> None:
        """Wrap an engine whose tables are up to date."""
        super().__init__(engine)
        self._redact = redact
        self._doubtful: list[Link] = []

    @classmethod
    async def open(cls, url: str, *, redact: Callable[[str], str] = str) -> SqlLedger:
        """Connect and bring the tables up to date; see `open_ledger`."""
        return await cls(cls.engine_for(url), redact).ready()

    async def append(self, events: Sequence[Event]) -> None:
        """Keep events for good, in order, all or none.

        Goes on to its end when it is cancelled: CancelledError means that they are kept. A
        connection that breaks after COMMIT was sent is settled by looking, never by guessing.
        """
        records = [encode(event, self._redact) for event in events]
        if records:
            await self._in_thread(lambda: self._repeated(lambda: self._append(records)))

    async def events(
        self, *, run: str | None = None, name: str | None = None, limit: int | None = None
    ) -> list[Event]:
        """Events, oldest first; with `limit` the newest that many."""
        query = sa.select(EVENTS).order_by(EVENTS.c.number.desc()).limit(limit)
        if run is not None:
            query = query.where(EVENTS.c.run == run)
        if name is not None:
            query = query.where(EVENTS.c.name == name)
        rows = await self._in_thread(lambda: self._rows(query))
        return [decode(_link(row).record) for row in reversed(rows)]

    async def verify_chain(self) -> Chain:
        """Whether every event is as it was kept; reads all of them."""
        return await self._in_thread(self._verify)

    def _append(self, records: list[Record]) -> None:
        with self._writing() as connection:
            # Locking the head waits for a transaction whose COMMIT is in doubt.
            row = connection.execute(sa.select(HEAD).with_for_update()).one()
            new = self._without_kept(connection, records)
            links, head = append(Head(number=row.number, hash=row.hash), new)
            if links:
                connection.execute(sa.insert(EVENTS), [_row(link) for link in links])
                connection.execute(sa.update(HEAD).values(**asdict(head)))
                self._doubtful = links
        self._doubtful = []

    def _without_kept(self, connection: sa.Connection, records: list[Record]) -> list[Record]:
        """The records without those that an append in doubt has kept after all."""
        kept = self._doubtful
        if kept and records[: len(kept)] == [link.record for link in kept]:
            last = sa.select(EVENTS.c.hash).where(EVENTS.c.number == kept[-1].number)
            if connection.execute(last).scalar() == kept[-1].hash:
                return records[len(kept) :]
        return records

    def _verify(self) -> Chain:
        # All pages and the head must be of one moment; SQLite's transactions always are.
        steady = {} if self._lite else {"isolation_level": "REPEATABLE READ"}
        with self._engine.connect().execution_options(**steady) as connection:
            row = connection.execute(sa.select(HEAD)).one_or_none()
            kept = Head(number=row.number, hash=row.hash) if row else None
            return verify(self._links(connection), kept)

    def _links(self, connection: sa.Connection) -> Iterator[Link]:
        page = sa.select(EVENTS).order_by(EVENTS.c.number).limit(PAGE)
        rows = connection.execute(page).all()
        while rows:
            yield from map(_link, rows)
            rows = connection.execute(page.where(EVENTS.c.number > rows[-1].number)).all()


def _row(link: Link) -> dict[str, Any]:
    return {"number": link.number, "hash": link.hash, **asdict(link.record)}


def _link(row: sa.Row[Any]) -> Link:
    fields = row._asdict()
    number, own = fields.pop("number"), fields.pop("hash")
    return Link(number=number, record=Record(**fields), hash=own)


__all__ = ["SqlLedger"]
