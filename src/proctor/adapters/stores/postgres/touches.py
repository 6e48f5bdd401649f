"""What the Postgres store answers of rows that a called service writes; and forgetting them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from proctor.adapters.stores import records
from proctor.adapters.stores.postgres import touching, touchscript
from proctor.adapters.stores.postgres.applying import blob
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.touchbook import Forget
from proctor.model import Key, Lease, Page, Run, Spec, TouchedUnit, Untouched
from proctor.ports import UndoTerms


async def forget(work: Transaction, run: str, units: Sequence[Key], what: Forget) -> int:
    """Take images out of what is kept of a run; how many rows could still have been undone."""
    ((there,),) = await work.fetch(touchscript.THERE)
    if not there:
        return 0
    only = f" AND unit = ANY ({_texts(units)})" if units else ""
    rows = await work.fetch(
        f"SELECT unit, before, after, undone FROM proctor.touches WHERE run = {text(run)}{only} "
        "ORDER BY unit FOR NO KEY UPDATE"
    )
    lost = 0
    for unit, before, after, undone in rows:
        kept = what.kept(before, after)
        if kept is None:
            continue
        lost += 0 if undone else kept[1]
        await work.run(
            f"UPDATE proctor.touches SET before = NULL, after = {blob(kept[0])} "
            f"WHERE run = {text(run)} AND unit = {text(unit)}"
        )
    return lost


def _texts(units: Sequence[Key]) -> str:
    return f"ARRAY[{', '.join(text(records.to_json(key)) for key in units)}]::text[]"


class Touches:
    """What the store answers of rows that a called service writes."""

    _pool: Pool

    async def _bound_run(self, run: str, *, fresh: bool = False) -> Binding:
        raise NotImplementedError

    async def _present(self, work: Transaction) -> bool:
        raise NotImplementedError

    async def note_before(self, spec: Spec, lease: Lease, page: Page) -> int:
        """See the port."""
        return await touching.note_before(self._pool, spec, lease, page)

    async def note_after(self, spec: Spec, lease: Lease, page: Page) -> int:
        """See the port."""
        return await touching.note_after(self._pool, spec, lease, page)

    async def touched(self, run: str) -> list[TouchedUnit]:
        """See the port."""
        async with self._pool.read(control=True) as work:
            return await touching.touched(work, run) if await self._present(work) else []

    async def untouch(self, run: Run, unit: Key, terms: UndoTerms) -> Untouched:
        """See the port."""
        return await touching.untouch(self._pool, await self._bound_run(run.id), run, unit, terms)

    async def forget_touched(
        self,
        run: str,
        *,
        units: Sequence[Key] = (),
        table: str | None = None,
        keys: Sequence[tuple[str, ...]] = (),
    ) -> int:
        """See the port."""
        what = Forget(table=table, keys=frozenset(keys), text=str)
        async with self._pool.write(run) as work:
            if not await self._present(work):
                return 0
            lost = await forget(work, run, units, what)
            await work.commit()
        return lost

    async def untouch_script(self, run: Run) -> AsyncIterator[str]:
        """See the port."""
        async with self._pool.read(control=True) as work:
            for piece in await touchscript.pieces(work, run):
                yield piece
