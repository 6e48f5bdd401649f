"""The units of a grid as the database remembers them: kept with the books, taken back with rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from proctor.adapters.stores import journal, records, unitbook
from proctor.adapters.stores.postgres import applying
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.rollback import Beside, Kept
from proctor.adapters.stores.postgres.tried import (
    READ,
    home_of,
    is_of,
    note,
    unit_of_chunk,
    written,
)
from proctor.model import Key, Lease, Span, Spec, Undone, Unit


async def keep(work: Transaction, spec: Spec, books: applying.Books, *, emitted: int) -> None:
    """Note how the attempts at a chunk's units ended, in the transaction of its books."""
    ends = unitbook.attempts_of(
        spec,
        books.lease,
        books.notes,
        written=books.written,
        issues=books.issues,
        now=datetime.now(UTC),
        emitted=emitted,
    )
    for attempt in ends:
        await note(work, spec, attempt)


async def take_back(work: Transaction, spec: Spec, run: str, keys: Iterable[Key]) -> None:
    """The units whose rows were undone stand as they did before the run."""
    for key in keys:
        await _back(work, run, is_of(run, unitbook.name_of(spec, key)))


async def take_all_back(work: Transaction, run: str) -> None:
    """So do all of them once a whole run is undone, also those that wrote nothing."""
    rows = await work.fetch(f"SELECT spec FROM proctor.runs WHERE id = {text(run)}")
    spec = records.spec_from_json(rows[0][0])
    if spec.attempts:
        await _back(work, run, f"backfill = {home_of(run)} AND run = {text(run)}")


async def script(work: Transaction, spec: Spec, run: str, number: int) -> str:
    """Statements that take the unit of a chunk back, for a script that does so with its rows."""
    if not spec.attempts:
        return ""
    unit = await unit_of_chunk(work, run, number)
    steps = await _steps(work, run, is_of(run, unitbook.name_of(spec, unit)))
    return "".join(f"{step}; " for step in steps)


async def _back(work: Transaction, run: str, where: str) -> None:
    for step in await _steps(work, run, f"{where} FOR UPDATE"):
        await work.run(step)


async def _steps(work: Transaction, run: str, where: str) -> list[str]:
    """Statements by which units go back to what they were before a run."""
    rows = await work.fetch(
        f"SELECT unit::pg_catalog.text, before, {READ} FROM proctor.units WHERE {where}"
    )
    steps = []
    for name, kept, *row in rows:
        tried, former = unitbook.former_of(row, kept, run)
        if former is not None:
            steps.append(written(run, name, former))
        elif tried:
            steps.append(f"DELETE FROM proctor.units WHERE {is_of(run, name)}")
    return steps


async def every(work: Transaction, binding: Binding, run: str) -> list[Unit]:
    """The units of a run's grid as they stand."""
    spec = binding.spec
    keys = await work.fetch(
        f"SELECT {binding.printed_key} FROM {binding.scanned} WHERE {binding.existing} "
        f"ORDER BY {binding.order}"
    )
    rows = await work.fetch(
        f"SELECT unit, {READ} FROM proctor.units "
        f"WHERE backfill IN ({home_of(run)}, {text(spec.backfill)})"
    )
    claimed = await work.fetch(
        f"SELECT upto, keys FROM proctor.chunks WHERE run = {text(run)} AND state = 'claimed'"
    )
    busy = {
        key
        for upto, listed in claimed
        for key in records.keys_from_json(listed) or (records.key_from_json(upto) or (),)
    }
    axes = [axis for axis, _ in unitbook.axes(spec)]
    kept = {
        unitbook.name_of(spec, tuple(unit[p.column] for p in spec.key)): row
        for unit, *row in rows
        if sorted(unit) == axes
    }
    return unitbook.standing(spec, [tuple(key) for key in keys], kept, busy)


async def newest_first(work: Transaction, run: str, numbers: Sequence[int]) -> list[int]:
    """Chunks in the order in which their rows go back: as they were written, not claimed."""
    rows = await work.fetch(
        f"SELECT number FROM proctor.chunks WHERE run = {text(run)} "
        f"ORDER BY applied DESC NULLS LAST, number DESC"
    )
    wanted = set(numbers)
    return [number for (number,) in rows if number in wanted]


class Keeping(applying.Beside):
    """Keeps books as usual, and with them what became of units that fill a row of their own."""

    def __init__(self, pool: Pool, spec: Spec) -> None:
        """The pool hears how long commits take."""
        super().__init__(pool)
        self._spec = spec

    async def keep(
        self, work: Transaction, books: applying.Books, undo: bytes | None, started: float
    ) -> Lease | None:
        """How the attempts at the chunk's units ended, then the chunk's books, and COMMIT."""
        await keep(work, self._spec, books, emitted=1)
        return await super().keep(work, books, undo, started)


class Units(Beside):
    """Keeps undo data as `Beside` does, and takes units back with the rows that they wrote.

    Where units emit, a span speaks of units: the rows of one are all covered, or none is.
    """

    def __init__(self, binding: Binding, span: Span) -> None:
        """Of the grid itself, not of the rows that its units emit."""
        self.binding = binding
        self.span = span

    async def kept(self, work: Transaction, run: str, number: int, *, lock: bool = False) -> Kept:
        """From the chunk's row; nothing where its unit is not covered."""
        found = await super().kept(work, run, number, lock=lock)
        if not self.binding.spec.emits or found.undoable is None:
            return found
        unit = await unit_of_chunk(work, run, number)
        if not await self.covers(work, unit):
            return Kept()
        later = await self._later(work, run, number)
        return replace(found, after=None, upto=None, one=True, later=later)

    async def covers(self, work: Transaction, unit: Key) -> bool:
        """Whether the span covers a unit."""
        if self.span.whole:
            return True
        if self.span.keys and unit not in self.span.keys:
            return False
        binding = self.binding
        rows = await work.fetch(
            f"SELECT 1 FROM {binding.scanned} WHERE {binding.among([unit])} "
            f"AND {binding.spanned(self.span)}"
        )
        return bool(rows)

    async def _later(self, work: Transaction, run: str, number: int) -> list[int]:
        """Chunks of the run that may have written to the same rows since."""
        rows = await work.fetch(
            f"SELECT number FROM proctor.chunks WHERE run = {text(run)} "
            f"AND state = 'applied' AND NOT undone AND undo IS NOT NULL AND (applied, number) > "
            f"(SELECT applied, number FROM proctor.chunks "
            f"WHERE run = {text(run)} AND number = {number})"
        )
        return [row[0] for row in rows]

    async def mark(
        self, work: Transaction, run: str, number: int, rest: journal.Undo, books: Undone
    ) -> None:
        """On the chunk's row and the units', with COMMIT."""
        spec = self.binding.spec
        if spec.emits:
            keys: Sequence[Key] = [await unit_of_chunk(work, run, number)]
        else:
            ((data,),) = await work.fetch(
                f"SELECT undo FROM proctor.chunks WHERE run = {text(run)} AND number = {number}"
            )
            left = set(rest.keys)
            keys = [key for key in journal.unpack(data).keys if key not in left]
        await take_back(work, spec, run, keys)
        await super().mark(work, run, number, rest, books)
