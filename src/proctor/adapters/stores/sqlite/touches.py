"""What the SQLite store answers of rows that a called service writes; and forgetting them."""

from __future__ import annotations

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
    lost = 0
    with session.writing(run) as connection:
        rows = connection.execute(
            "SELECT unit, before, after, undone FROM proctor_touches WHERE run = ?", (run,)
        ).fetchall()
        for unit, before, after, undone in rows:
            kept = what.kept(before, after)
            if kept is None or (units and same(key_from_json(unit) or ()) not in wanted):
                continue
            lost += 0 if undone else kept[1]
            connection.execute(
                "UPDATE proctor_touches SET before = NULL, after = ? WHERE run = ? AND unit = ?",
                (kept[0], run, unit),
            )
    return lost


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
