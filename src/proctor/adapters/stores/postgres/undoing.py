"""The statements that take a chunk back: restore, delete, and the question what stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from proctor.adapters.stores import journal, keyset
from proctor.adapters.stores.postgres import catalog_sql, codecs, keys
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Spoilt
from proctor.adapters.stores.postgres.catalog import Field, Reference
from proctor.adapters.stores.postgres.keys import SENT
from proctor.adapters.stores.postgres.literal import ident, text
from proctor.adapters.stores.postgres.pool import Rows, Transaction
from proctor.model import ABSENT, Image, Key, Span

CHANGED = "somebody else changed it since"
GONE = "it is not there any more"
REFERENCED = "other rows refer to it"
TRIGGER = "a trigger changed the value on its way back"


def same_image(image: str, kept: str) -> str:
    """Whether an image is what the journal kept of it, which may be a digest."""
    raw = f"pg_catalog.sha256(pg_catalog.convert_to({image}, 'UTF8'))"
    hexed = f"'#' || pg_catalog.encode(pg_catalog.substr({raw}, 1, 16), 'hex')"
    return (
        f"CASE WHEN pg_catalog.length({kept}) = 33 AND {kept} LIKE '#%' "
        f"THEN ({hexed}) = {kept} ELSE {image} IS NOT DISTINCT FROM {kept} END"
    )


@dataclass(kw_only=True)
class Undoer:
    """The rows of one chunk's journal in SQL."""

    binding: Binding
    journal: journal.Undo
    after: Key | None
    upto: Key | None
    references: tuple[Reference, ...] = ()
    """Foreign keys onto the target as they are now, where rows are to be deleted."""
    fields: tuple[Field, ...] = ()
    """The target's columns as they are now, where rows are to be deleted."""
    one: bool = False
    """The rows are those of one unit, which is covered whole."""

    @cached_property
    def inserted(self) -> dict[int, int]:
        """Position of each inserted row in the journal, and among the whole rows."""
        return {position: i for i, position in enumerate(self.journal.inserted)}

    @cached_property
    def _columns(self) -> list[str]:
        """The target's columns that a whole row was imaged by and that still exist."""
        return [c for c in self.journal.columns if c in self.binding.target.fields]

    def columns(self, *, whole: bool) -> list[tuple[str, str]]:
        """What is sent of each row, and in which type: keys, before- and after-images.

        With `whole` the images of an inserted row's columns in place of both.
        """
        named = [
            (f"proctor_k{i}", "pg_catalog.int8" if c.whole else "pg_catalog.text")
            for i, c in enumerate(self.binding.key)
        ]
        count = range(len(self._columns) if whole else len(self.binding.writes))
        prefixes = "w" if whole else "ba"
        return named + [(f"proctor_{x}{i}", "pg_catalog.text") for x in prefixes for i in count]

    def row(self, position: int, *, whole: bool) -> list[Image | int]:
        """One row of those columns."""
        key = list(self.journal.keys[position])
        if whole:
            at = self.inserted[position]
            return [*key, *(column[at] for column in self._whole)]
        images = (*self.journal.before, *self.journal.after)
        return [*key, *(column[position] for column in images)]

    @cached_property
    def _whole(self) -> list[Sequence[Image]]:
        pairs = zip(self.journal.columns, self.journal.whole, strict=True)
        return [column for name, column in pairs if name in self.binding.target.fields]

    def arrays(self, positions: Sequence[int], *, whole: bool) -> list[codecs.Packed]:
        """The same columns packed as parameters, from `$1` on."""
        some = [self.journal.keys[p] for p in positions]
        packed = [c.packed([k[i] for k in some]) for i, c in enumerate(self.binding.key)]
        at = [self.inserted[p] for p in positions] if whole else positions
        images = self._whole if whole else (*self.journal.before, *self.journal.after)
        return packed + [codecs.texts([_bytes(column[i]) for i in at]) for column in images]

    def sent(self, *, whole: bool) -> str:
        """The FROM item of these parameters."""
        columns = self.columns(whole=whole)
        arrays = ", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(columns, 1))
        names = ", ".join(name for name, _ in columns)
        return f"unnest({arrays}) WITH ORDINALITY AS {SENT}({names}, proctor_at)"

    @cached_property
    def joined(self) -> str:
        """The sent rows on the target's key, inside the chunk's range."""
        binding = self.binding
        values = keys.sent(binding.key, on_target=True)
        on = [f"{sql} = {v}" for v, (sql, _) in zip(values, binding.target_parts, strict=True)]
        return " AND ".join([*on, f"({binding.between(self.after, self.upto)})"])

    @cached_property
    def holds(self) -> str:
        """Whether every written field still is what was written."""
        target = self.binding.target
        return " AND ".join(
            same_image(f"({f.image(target.column(f.field.name))})", f"{SENT}.proctor_a{i}")
            for i, f in enumerate(self.binding.writes)
        )

    @cached_property
    def whole_holds(self) -> str:
        """Whether an inserted row still is, in every column, what was inserted."""
        target = self.binding.target
        same = [
            same_image(f"({target.fields[c].image(target.column(c))})", f"{SENT}.proctor_w{i}")
            for i, c in enumerate(self._columns)
        ]
        known = self.journal.columns
        same += [self._as_added(f) for f in self.fields if f.name not in known and not f.generated]
        return " AND ".join(same)

    def _as_added(self, field: Field) -> str:
        """Whether a column that was added later holds what adding it gave to the row.

        Where that cannot be told (a sequence, a random default) the row is not ours to delete.
        """
        target = self.binding.target
        column = target.column(field.name)
        given = catalog_sql.given_when_added(target.oid, text(field.name))
        same = f"{field.image(column)} IS NOT DISTINCT FROM {{}}"
        plain = f"{column} IS NULL"
        if field.default is not None and "(" not in field.default:  # calls nothing
            plain += f" OR {same.format(field.image(f'({field.default})::{field.declared}'))}"
        added = same.format(field.image(f"{given}::{field.declared}"))
        return f"CASE WHEN {given} IS NOT NULL THEN {added} ELSE {plain} END"

    @cached_property
    def referenced(self) -> str:
        """Whether a row of any other table refers to the row, by whatever rule on delete."""
        target = self.binding.target
        found = [
            f"EXISTS (SELECT FROM {r.table} AS proctor_ref WHERE "
            + " AND ".join(
                f"proctor_ref.{ident(c)} = {target.fields[t].collated(target.column(t))}"
                for c, t in zip(r.columns, r.targets, strict=True)
            )
            + ")"
            for r in self.references
        ]
        return " OR ".join(found) or "false"

    @cached_property
    def sets(self) -> str:
        """The SET list that puts before-images back."""
        target = self.binding.target
        before = f"{SENT}.proctor_b{{}}"
        sets = [
            f"{d.sql} = {d.restored(target.column(d.field.name), before)}"
            for d in self.binding.documents
        ]
        sets += [f"{ident(n)} = {target.column(n)}" for n in self.binding.spec.preserve]
        return ", ".join(sets)

    @cached_property
    def is_back(self) -> str:
        """Whether every written field holds its before-image; a place in a document, or none."""
        target = self.binding.target
        same = []
        for i, fill in enumerate(self.binding.writes):
            image = f"({fill.image(target.column(fill.field.name))})"
            before = f"{SENT}.proctor_b{i}"
            if fill.nested:
                image = f"coalesce({image}, '')"
                before = f"CASE WHEN {before} LIKE '^%' THEN '' ELSE coalesce({before}, '') END"
            same.append(f"{image} IS NOT DISTINCT FROM {before}")
        return " AND ".join(same)

    @cached_property
    def restore(self) -> str:
        """The statement that puts before-images back where after-images still stand."""
        target = self.binding.target
        images = [f.image(target.column(f.field.name)) for f in self.binding.writes]
        return (
            f"UPDATE {target.sql} AS {target.alias} SET {self.sets} "
            f"FROM {self.sent(whole=False)} WHERE {self.joined} AND {self.holds} "
            f"RETURNING {SENT}.proctor_at, {', '.join(images)}"
        )

    async def attempt(self, work: Transaction, positions: Sequence[int]) -> dict[int, bool]:
        """Restore, or delete, the rows at these positions where they still hold."""
        old = [p for p in positions if p not in self.inserted]
        new = [p for p in positions if p in self.inserted]
        done: dict[int, bool] = {}
        if old:
            found = await work.with_arrays(self.restore, self.arrays(old, whole=False))
            back = [old[row[0] - 1] for row in found]
            done = dict.fromkeys(back, True)
            spoilt = self._not_restored(back, found)
            if self.binding.fires_after_update:
                spoilt |= await self._not_left(work, back)
            if spoilt:
                raise Spoilt(dict.fromkeys(spoilt, TRIGGER))
        # What only rows of ours refer to is free once these are gone.
        while new and (gone := await self._delete(work, new)):
            done |= gone
            new = [p for p in new if p not in gone] if self.references else []
        return done

    async def idle(self, work: Transaction) -> None:
        """The same statements, for no row."""
        if len(self.inserted) < len(self.journal.keys):
            await work.with_arrays(self.restore, self.arrays((), whole=False))
        if self.inserted:
            await self._delete(work, ())

    def _not_restored(self, positions: Sequence[int], found: Rows) -> set[int]:
        """Rows whose before-image is not what stands after restoring it."""
        wrong: set[int] = set()
        for i, (fill, column) in enumerate(
            zip(self.binding.writes, self.journal.before, strict=True)
        ):
            wanted = [column[p] for p in positions]
            got: list[Image] = [row[i + 1] for row in found]
            if fill.nested:
                # A place whose document is null again is as absent as it was.
                wanted = [ABSENT if b is None or str(b).startswith("^") else b for b in wanted]
                got = [ABSENT if image is None else fill.python(str(image)) for image in got]
            if got != wanted:
                pairs = zip(positions, got, wanted, strict=True)
                wrong |= {p for p, have, want in pairs if have != want}
        return wrong

    async def _not_left(self, work: Transaction, positions: Sequence[int]) -> set[int]:
        """Rows that a trigger changed or deleted after they were restored: no answer shows that."""
        there = f"{self.binding.target_parts[0][0]} IS NOT NULL"
        target = self.binding.target
        found = await work.with_arrays(
            f"SELECT {SENT}.proctor_at FROM {self.sent(whole=False)} "
            f"LEFT JOIN {target.sql} AS {target.alias} ON {self.joined} "
            f"WHERE NOT coalesce({there} AND {self.is_back}, false)",
            self.arrays(positions, whole=False),
        )
        return {positions[at - 1] for (at,) in found}

    async def _delete(self, work: Transaction, positions: Sequence[int]) -> dict[int, bool]:
        """Delete inserted rows that are as they were and that nothing refers to.

        They are locked first: from then on no new reference can be made to them.
        """
        target = self.binding.target
        arrays = self.arrays(positions, whole=True)
        await work.with_arrays(
            f"SELECT 1 FROM {target.sql} AS {target.alias}, {self.sent(whole=True)} "
            f"WHERE {self.joined} FOR UPDATE OF {target.alias}",
            arrays,
        )
        found = await work.with_arrays(
            f"DELETE FROM {target.sql} AS {target.alias} USING {self.sent(whole=True)} "
            f"WHERE {self.joined} AND {self.whole_holds} AND NOT ({self.referenced}) "
            f"RETURNING {SENT}.proctor_at",
            arrays,
        )
        return {positions[row[0] - 1]: True for row in found}

    async def states(self, work: Transaction, positions: Sequence[int]) -> dict[int, str]:
        """Why each row cannot be undone; the empty text where it can."""
        old = [p for p in positions if p not in self.inserted]
        new = [p for p in positions if p in self.inserted]
        states: dict[int, str] = {}
        for some, holds, blocked in (
            (old, self.holds, "false"),
            (new, self.whole_holds, self.referenced),
        ):
            if not some:
                continue
            whole = some is new
            target = self.binding.target
            there = f"{self.binding.target_parts[0][0]} IS NOT NULL"
            found = await work.with_arrays(
                f"SELECT {SENT}.proctor_at, {there}, {holds}, {blocked} "
                f"FROM {self.sent(whole=whole)} LEFT JOIN {target.sql} AS {target.alias} "
                f"ON {self.joined}",
                self.arrays(some, whole=whole),
            )
            for at, here, same, refers in found:
                why = GONE if not here else CHANGED if not same else REFERENCED if refers else ""
                states[some[at - 1]] = why
        return states

    async def covered(self, work: Transaction, span: Span) -> list[int]:
        """The positions of the rows that a span covers."""
        every = list(range(len(self.journal.keys)))
        if span.whole or self.one or not every:
            return every
        if span.keys:
            wanted = set(span.keys)
            every = [p for p in every if self.journal.keys[p] in wanted]
        if (span.start is None and span.stop is None) or not every:
            return every
        binding = self.binding
        sent = keys.sent(binding.key)
        parts = [(sql, c.descending) for sql, c in zip(sent, binding.key, strict=True)]
        bounds = []
        if span.start is not None:
            at = keys.place(binding.key, span.start)
            bounds.append(keyset.behind(parts, at, inclusive=True))
        if span.stop is not None:
            bounds.append(keyset.up_to(parts, keys.place(binding.key, span.stop)))
        inside = await work.fetch(
            f"SELECT {SENT}.proctor_at FROM "
            f"{keys.unnested(binding.key, [self.journal.keys[p] for p in every])} "
            f"WHERE {' AND '.join(bounds)}"
        )
        kept = {at - 1 for (at,) in inside}
        return [p for i, p in enumerate(every) if i in kept]


def _bytes(image: Image) -> bytes | None:
    if image is ABSENT:
        return b""
    return None if image is None else image.encode()
