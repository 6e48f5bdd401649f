"""Settle intents: ask what became of a write, and make the chunk's row say so."""

from __future__ import annotations

import asyncio
import time

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from proctor.adapters.stores import journal
from proctor.adapters.stores.away import chunks, intents, runs
from proctor.adapters.stores.away.data import Data, Fate, Kept
from proctor.adapters.stores.away.intents import UNDO, Intent, Noted
from proctor.adapters.stores.away.progress import Progress
from proctor.adapters.stores.away.tables import CHUNKS
from proctor.adapters.stores.records import (
    key_from_json,
    time_from_text,
    undone_from_json,
    unpack_issues,
)
from proctor.errors import Busy, InDoubt, ProctorError
from proctor.model import ChunkState, Key, Lease

LOOK_EVERY: Final = 0.05
"""Seconds between two looks at a transaction that has not ended."""


class AwayBook:
    """`Book` in the ledger's database."""

    def __init__(self, progress: Progress) -> None:
        """The progress that is written to."""
        self._progress = progress

    async def check(self, lease: Lease) -> None:
        """Fenced unless the chunk is this worker's; InDoubt where it has an intent already."""
        chunk = lease.chunk
        if await self._progress.read(lambda c: intents.noted(c, chunk.run, chunk.number)):
            raise InDoubt(f"an earlier write of chunk {chunk.number} is not settled")
        await self._progress.read(lambda c: chunks.check(c, lease))

    async def intend(self, lease: Lease, intent: Intent) -> None:
        """Keep the intent under the chunk's fence."""
        await self._progress.write(lambda c: intents.note(c, lease, intent))

    def intend_now(self, lease: Lease, intent: Intent, instead: Intent | None) -> None:
        """The same for a store's own thread; `instead` of an intent whose COMMIT was refused."""
        self._progress.now(lambda c: intents.note(c, lease, intent, instead=instead))

    async def kept(self, run: str, number: int) -> Kept | None:
        """The undo data of an applied chunk."""
        return await self._progress.read(lambda c: _kept(c, run, number))

    async def intend_undo(self, run: str, kept: Kept, intent: Intent) -> None:
        """Keep the intent of an undo."""
        at = (kept.number, kept.fence)
        await self._progress.write(lambda c: intents.note_undo(c, run, at, intent))

    def intend_undo_now(self, run: str, kept: Kept, intent: Intent, instead: Intent | None) -> None:
        """The same for a store's own thread."""
        at = (kept.number, kept.fence)
        self._progress.now(lambda c: intents.note_undo(c, run, at, intent, instead=instead))

    async def done(self, run: str, number: int, intent: Intent) -> Lease | None:
        """Keep that it took place; what cannot be kept now is settled by a new claim."""
        try:
            return await self._progress.write(
                lambda c: intents.done(c, run, number, intent.token, ours=True)
            )
        except ProctorError as error:
            raise InDoubt(
                f"chunk {number} is written, but the ledger could not be told", found=error.what
            ) from None


def _kept(connection: sa.Connection, run: str, number: int) -> Kept | None:
    row = connection.execute(
        sa.select(CHUNKS).where(
            CHUNKS.c.run == run,
            CHUNKS.c.number == number,
            CHUNKS.c.state == ChunkState.APPLIED.value,
        )
    ).one_or_none()
    if row is None:
        return None
    upto: Key = key_from_json(row.upto) or ()
    return Kept(
        number=number,
        fence=row.fence,
        applied=time_from_text(row.applied),
        undone=row.undone,
        undo=row.undo,
        after=key_from_json(row.after),
        upto=upto,
        books=undone_from_json(row.undo_books, row.undo_left),
    )


class Settler:
    """Asks the data what became of writes, and tells the progress."""

    def __init__(self, progress: Progress, data: Data) -> None:
        """Both databases."""
        self._progress = progress
        self._data = data

    async def expired(self, run: str) -> None:
        """Settle the intents whose worker is gone; one still on its way is left alone."""
        numbers = await self._progress.read(lambda c: chunks.in_doubt(c, run, expired=True))
        for number in numbers:
            await self.one(run, number, patient=False)

    async def every(self, run: str) -> None:
        """Settle all intents of a run, waiting for what is on its way."""
        for number in await self._progress.read(lambda c: chunks.in_doubt(c, run)):
            await self.one(run, number)

    async def one(self, run: str, number: int, *, patient: bool = True) -> None:
        """Settle the intent of a chunk, if it has one. Busy where its transaction goes on."""
        found = await self._progress.read(lambda c: intents.noted(c, run, number))
        if found is None:
            return
        fate = await self._fate(found, patient=patient)
        token = found.intent.token
        if fate is Fate.GOING:
            if patient:
                raise Busy(f"the write of chunk {number} of run {run} has not ended")
        elif fate is Fate.ABORTED:
            await self._progress.write(lambda c: intents.drop(c, run, number, token))
        elif found.intent.kind == UNDO:
            took_place = fate is Fate.COMMITTED or await self._undone(found)
            settle = intents.done if took_place else intents.drop
            await self._progress.write(lambda c: settle(c, run, number, token))
        else:
            await self._by_images(found, fate)

    async def _fate(self, found: Noted, *, patient: bool) -> Fate:
        until = time.monotonic() + self._data.patience.total_seconds()
        while True:
            fate = await self._data.fate(found.intent.witness)
            if fate is not Fate.GOING or not patient or time.monotonic() > until:
                return fate
            await asyncio.sleep(LOOK_EVERY)

    async def _undone(self, found: Noted) -> bool:
        """Whether no row that was to be undone holds any more what the run wrote."""
        if found.kept is None:
            return True
        undo = journal.unpack(found.kept)
        left = found.intent.undo
        keep = set(journal.unpack(left).keys) if left is not None else set()
        # A row that the server refused to take back still holds what was written.
        keep |= {issue.key for issue in unpack_issues(found.intent.issues)}
        covered = [p for p, key in enumerate(undo.keys) if key not in keep]
        return not await self._standing(found, journal.subset(undo, covered))

    async def _standing(self, found: Noted, undo: journal.Undo) -> Collection[int]:
        run, home = found.chunk.run, self._progress.home
        spec = await self._progress.read(lambda c: runs.spec_of(c, home, run))
        return await self._data.standing(spec, found.chunk, undo)

    async def _by_images(self, found: Noted, fate: Fate) -> None:
        """Look at the rows also where the server says "committed".

        A server that crashed may give an id that never reached its disk to somebody else's
        transaction. Then not one row holds what was written, and the chunk is worked again;
        that is right too where others have changed every row since.
        """
        run, number, token = found.chunk.run, found.chunk.number, found.intent.token
        standing = None
        if found.intent.undo is not None:
            holding = await self._standing(found, journal.unpack(found.intent.undo))
            if not holding:
                await self._progress.write(lambda c: intents.drop(c, run, number, token))
                return
            standing = None if fate is Fate.COMMITTED else frozenset(holding)
        await self._progress.write(lambda c: intents.done(c, run, number, token, standing=standing))
