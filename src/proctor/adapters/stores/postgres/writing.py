"""The statements of a guarded write: update, insert, and the question why a row was not written.

One statement writes a whole chunk. It joins what was sent on the key, inside the chunk's key
range, and compares the version that each row had when it was read.

Columns under `preserve=` are set to what they hold, and looked at again after the triggers: no
ordinary role can keep a trigger from changing them, so a row in which one does is not written.
"""

from __future__ import annotations

import enum

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from proctor.adapters.stores.postgres.batch import Batch, text_of
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Spoilt
from proctor.adapters.stores.postgres.keys import SENT, sent
from proctor.adapters.stores.postgres.literal import ident
from proctor.adapters.stores.postgres.pool import Rows, Transaction
from proctor.model import Chunk

After: TypeAlias = tuple[Any, ...] | None
"""After-images of the written fields and, of an inserted row, of every column behind them.

None where each of them is the cell that was sent."""


class Fate(enum.Enum):
    """Why a row was not written."""

    UNCHANGED = "unchanged"
    MOVED = "moved"
    GONE = "gone"
    SUPPRESSED = "suppressed"


SUPPRESSED = "a trigger, a rule or a policy of the table kept the row from being written"


@dataclass(kw_only=True)
class Writer:
    """One chunk's write in SQL."""

    batch: Batch
    chunk: Chunk
    ranged: bool = True
    """Whether the rows' keys lie in the chunk's range."""

    @property
    def binding(self) -> Binding:
        """The tables and columns."""
        return self.batch.binding

    @cached_property
    def images(self) -> list[str]:
        """The images of the written fields, on the target."""
        target = self.binding.target
        return [f.image(target.column(f.field.name)) for f in self.binding.writes]

    @cached_property
    def whole(self) -> list[str]:
        """The image of every column of the target, for rows that are inserted."""
        target = self.binding.target
        return [f.image(target.column(name)) for name, f in target.fields.items()]

    @cached_property
    def _joined(self) -> str:
        """The sent rows on the target's key, inside the chunk's range."""
        binding = self.binding
        values = sent(binding.key, on_target=True)
        on = [f"{sql} = {v}" for v, (sql, _) in zip(values, binding.target_parts, strict=True)]
        if not self.ranged:
            return " AND ".join(on)
        return " AND ".join([*on, f"({binding.between(self.chunk.after, self.chunk.upto)})"])

    @cached_property
    def _source_stands(self) -> str:
        """Whether the source row apart from the target is the one that was read."""
        binding = self.binding
        if not binding.apart or not binding.versioned:
            return "true"
        on = self._on_source
        version = f'"proctor_source".proctor_version = {SENT}.proctor_source'
        return f"EXISTS (SELECT FROM {binding.scanned} WHERE {on} AND {version})"

    @cached_property
    def _on_source(self) -> str:
        binding = self.binding
        pairs = zip(sent(binding.key), binding.parts, strict=True)
        return " AND ".join(f"{sql} = {value}" for value, (sql, _) in pairs)

    async def attempt(self, work: Transaction, positions: Sequence[int]) -> dict[int, After]:
        """Write the rows at these positions as far as their guards allow; their after-images."""
        batch = self.batch
        there = [p for p in positions if not batch.absent(p)]
        new = [p for p in positions if batch.absent(p)]
        written: dict[int, After] = {}
        if there:
            kept = await self._preserved(work, there)
            written |= await self._update(work, there, kept)
        if new:
            written |= await self._insert(work, new)
        return written

    async def idle(self, work: Transaction) -> None:
        """The same statements, for no row: they fail where no row is to blame."""
        before = self.batch.before
        if before.count(None) < len(before):
            await self._update(work, (), await self._preserved(work, ()))
        if None in before:
            await self._insert(work, ())

    async def _update(
        self, work: Transaction, positions: Sequence[int], kept: dict[int, After]
    ) -> dict[int, After]:
        binding, batch = self.binding, self.batch
        target = binding.target
        compares = batch.compares(positions)
        cell = f"{SENT}.proctor_v{{}}"
        sets = [
            f"{d.sql} = {d.assigned(target.column(d.field.name), cell)}" for d in binding.documents
        ]
        preserve = [ident(name) for name in binding.spec.preserve]
        foreseen = batch.foreseen and not preserve
        images = [
            f.answer(target.column(f.field.name), cell.format(i)) if foreseen else shown
            for i, (f, shown) in enumerate(zip(binding.writes, self.images, strict=True))
        ]
        sets += [f"{name} = {target.alias}.{name}" for name in preserve]
        shown = [*images, *(f"{target.alias}.{n}::pg_catalog.text" for n in preserve)]
        found = await work.with_arrays(
            f"UPDATE {target.sql} AS {target.alias} SET {', '.join(sets)} "
            f"FROM {batch.sent(images=compares)} WHERE {self._joined} "
            f"AND {target.alias}.xmin = {SENT}.proctor_version AND {self._source_stands}"
            f"{f' AND {batch.changed}' if compares else ''} "
            f"RETURNING {SENT}.proctor_at, {', '.join(shown)}",
            batch.arrays(positions, images=compares),
        )
        if foreseen:
            return self._as_foreseen(positions, found)
        count = len(binding.writes)
        written: dict[int, After] = {positions[row[0] - 1]: row[1 : 1 + count] for row in found}
        if preserve:
            spoilt = {
                positions[row[0] - 1]
                for row in found
                if kept.get(positions[row[0] - 1]) != row[1 + count :]
            }
            if spoilt:
                names = ", ".join(binding.spec.preserve)
                why = f"a trigger changed {names}, which preserve= is to keep as it was"
                raise Spoilt(dict.fromkeys(spoilt, why))
        return written

    def _as_foreseen(self, positions: Sequence[int], found: Rows) -> dict[int, After]:
        """Read the answers to `Fill.answer`, of which nearly all are null."""
        count = len(found)
        if all(column.count(None) == count for column in list(zip(*found, strict=True))[1:]):
            if count == len(positions):
                return dict.fromkeys(positions)
            return dict.fromkeys(positions[row[0] - 1] for row in found)
        written: dict[int, After] = {}
        for at, *told in found:
            position = positions[at - 1]
            if told.count(None) == len(told):
                written[position] = None
                continue
            pairs = zip(told, self.batch.cells, strict=True)
            written[position] = tuple(
                text_of(cells[position]) if word is None else word[1:] if word else None
                for word, cells in pairs
            )
        return written

    async def _preserved(self, work: Transaction, positions: Sequence[int]) -> dict[int, After]:
        """What the preserved columns hold, with the rows locked so that they keep holding it."""
        binding = self.binding
        if not binding.spec.preserve:
            return {}
        target = binding.target
        shown = ", ".join(f"{target.column(n)}::pg_catalog.text" for n in binding.spec.preserve)
        found = await work.with_arrays(
            f"SELECT {SENT}.proctor_at, {shown} FROM {target.sql} AS {target.alias}, "
            f"{self.batch.sent(images=False)} WHERE {self._joined} "
            f"FOR NO KEY UPDATE OF {target.alias}",
            self.batch.arrays(positions, images=False),
        )
        return {positions[row[0] - 1]: row[1:] for row in found}

    async def _insert(self, work: Transaction, positions: Sequence[int]) -> dict[int, After]:
        """Insert rows that were absent and still are; the source row is guarded alike."""
        binding, batch = self.binding, self.batch
        target = binding.target
        cell = f"{SENT}.proctor_v{{}}"
        keys = [ident(c.target.name) for c in binding.key]
        columns = [*keys, *(d.sql for d in binding.documents)]
        given = [
            *sent(binding.key, on_target=True),
            *(d.assigned("NULL::pg_catalog.jsonb", cell) for d in binding.documents),
        ]
        shown = [*self.images, *self.whole]
        named = ", ".join(f"{sql} AS proctor_i{i}" for i, sql in enumerate(shown))
        back = ", ".join(f"proctor_new.proctor_i{i}" for i in range(len(shown)))
        returned = ", ".join(f"{target.alias}.{k} AS proctor_k{i}" for i, k in enumerate(keys))
        on = " AND ".join(
            f"proctor_new.proctor_k{i} = {value}"
            for i, value in enumerate(sent(binding.key, on_target=True))
        )
        found = await work.with_arrays(
            f"WITH proctor_new AS (INSERT INTO {target.sql} AS {target.alias} "
            f"({', '.join(columns)}) SELECT {', '.join(given)} FROM {batch.sent(images=False)} "
            f"WHERE {self._source_stands} ON CONFLICT ({', '.join(keys)}) DO NOTHING "
            f"RETURNING {returned}, {named}) SELECT {SENT}.proctor_at, {back} "
            f"FROM proctor_new, {batch.sent(images=False)} WHERE {on}",
            batch.arrays(positions, images=False),
        )
        return {positions[row[0] - 1]: row[1:] for row in found}

    async def reread(self, work: Transaction, written: dict[int, After]) -> None:
        """After-images as they stand once triggers have had their way; in place."""
        binding = self.binding
        if not written or not binding.fires_after_update:
            return
        positions = sorted(written)
        target = binding.target
        found = await work.with_arrays(
            f"SELECT {SENT}.proctor_at, {', '.join([*self.images, *self.whole])} "
            f"FROM {target.sql} AS {target.alias}, {self.batch.sent(images=False)} "
            f"WHERE {self._joined}",
            self.batch.arrays(positions, images=False),
        )
        for row in found:
            at = positions[row[0] - 1]
            written[at] = row[1 : 1 + len(written[at] or ())]

    async def fates(self, work: Transaction, positions: Sequence[int]) -> dict[int, Fate]:
        """Why each of these rows was not written, by its state at this moment."""
        if not positions:
            return {}
        binding, batch = self.binding, self.batch
        target = binding.target
        source = (
            f'(SELECT "proctor_source".proctor_version IS NOT DISTINCT FROM '
            f"{SENT}.proctor_source FROM {binding.scanned} WHERE {self._on_source})"
            if binding.apart and binding.versioned
            else "true"
        )
        found = await work.with_arrays(
            f"SELECT {SENT}.proctor_at, {source}, {target.alias}.xmin IS NOT NULL, "
            f"{target.alias}.xmin = {SENT}.proctor_version, "
            f"CASE WHEN {target.alias}.xmin = {SENT}.proctor_version THEN {batch.changed} END "
            f"FROM {batch.sent(images=True)} LEFT JOIN {target.sql} AS {target.alias} "
            f"ON {self._joined}",
            batch.arrays(positions, images=True),
        )
        return {positions[row[0] - 1]: self._fate(positions[row[0] - 1], row[1:]) for row in found}

    def _fate(self, position: int, seen: tuple[Any, ...]) -> Fate:
        source, there, same, changed = seen
        if source is None:
            return Fate.GONE
        if not source:
            return Fate.MOVED
        if self.batch.absent(position):
            return Fate.MOVED if there else Fate.SUPPRESSED
        if not there:
            return Fate.MOVED if self.binding.apart else Fate.GONE
        if not same:
            return Fate.MOVED
        return Fate.SUPPRESSED if changed and position not in self.batch.still else Fate.UNCHANGED
