"""What the SQLite store answers of rows that a called service writes; and forgetting them."""

from __future__ import annotations

import sqlite3

from collections.abc import AsyncIterator, Sequence

from proctor.adapters.stores.records import key_from_json
from proctor.adapters.stores.sqlite import pruning, tables, touching, touchscript
from proctor.adapters.stores.sqlite.session import Desk, Session
from proctor.adapters.stores.sqlite.values import value_of
from proctor.adapters.stores.touchbook import Forget
from proctor.model import Key, Lease, Page, Run, Spec, TouchedUnit, Untouched
from proctor.ports import UndoTerms


def forget(
    session: Session,
    run: str,
    units: Sequence[Key],
    table: str | None,
    keys: Sequence[tuple[str, ...]],
) -> int:
    """Take images out of what is kept of a run; how many rows could still have been undone.

    What is forgotten is overwritten on disk.
    """
    if tables.version_of(session.quiet) < touching.STEP:
        return 0
    what = Forget(table=table, keys=frozenset(keys), text=lambda image: str(value_of(image)))
    same = pruning.sameness(session, run) if units else pruning.as_is
    wanted = {same(unit) for unit in units}
    session.main.execute("PRAGMA secure_delete = ON")
    chosen = [
        unit
        for (unit,) in session.quiet.execute(
            "SELECT unit FROM proctor_touches WHERE run = ? ORDER BY unit", (run,)
        )
        if not units or same(key_from_json(unit) or ()) in wanted
    ]
    lost = 0
    for at in range(0, len(chosen), pruning.BLOBS_AT_ONCE):
        with session.writing(run) as connection:
            for unit in chosen[at : at + pruning.BLOBS_AT_ONCE]:
                lost += _forget(connection, run, unit, what)
    return lost


def _forget(connection: sqlite3.Connection, run: str, unit: str, what: Forget) -> int:
    where = (run, unit)
    before, after, undone = connection.execute(
        "SELECT before, after, undone FROM proctor_touches WHERE run = ? AND unit = ?", where
    ).fetchone()
    kept = what.kept(before, after)
    if kept is None:
        return 0
    connection.execute(
        "UPDATE proctor_touches SET before = NULL, after = ? WHERE run = ? AND unit = ?",
        (kept[0], *where),
    )
    return 0 if undone else kept[1]


class Touches:
    """The store's words on them."""

    desk: Desk[Session]

    async def note_before(self, spec: Spec, lease: Lease, page: Page) -> int:
        """See the port."""
        return await self.desk.ask(touching.note_before, spec, lease, page)

    async def note_after(self, spec: Spec, lease: Lease, page: Page) -> int:
        """See the port."""
        return await self.desk.ask(touching.note_after, spec, lease, page)

    async def touched(self, run: str) -> list[TouchedUnit]:
        """See the port."""
        return await self.desk.ask(touching.touched, run)

    async def untouch(self, run: Run, unit: Key, terms: UndoTerms) -> Untouched:
        """See the port."""
        return await self.desk.ask(touching.untouch, run, unit, terms)

    async def forget_touched(
        self,
        run: str,
        *,
        units: Sequence[Key] = (),
        table: str | None = None,
        keys: Sequence[tuple[str, ...]] = (),
    ) -> int:
        """See the port."""
        return await self.desk.ask(forget, run, units, table, keys)

    async def untouch_script(self, run: Run) -> AsyncIterator[str]:
        """See the port."""
        for piece in await self.desk.ask(touchscript.pieces, run):
            yield piece
