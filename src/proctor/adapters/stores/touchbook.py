"""What is kept of rows that a called service writes: the same words beside every kind of data."""

from __future__ import annotations

import json

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeAlias

from proctor.adapters.stores.journal import squeeze, unsqueeze
from proctor.adapters.stores.records import touch_from
from proctor.errors import TargetError
from proctor.model import Change, Image, Key, Touch, TouchedLeft, TouchedTable, Untouched

MOST: Final = 1_000
"""Rows of one table that a condition may cover for one unit: more is a slip in the condition."""
CHANGED: Final = "somebody else changed it after the service wrote it"
GONE: Final = "it no longer exists"
THERE: Final = "a row with its key is there now"
REFERENCED: Final = "other rows refer to it: {}"
TRIGGER: Final = "a trigger changed the value on its way back"
PRUNED: Final = "its images were pruned"
UNSEEN: Final = (
    "the service was called and its process died before the rows were looked at again: nobody "
    "knows which of them it wrote"
)
Cells: TypeAlias = tuple[Image, ...]
"""The images of one row, in the order of the columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The rows of one table that its condition covers at one moment, by key."""

    touch: Touch
    columns: tuple[str, ...]
    rows: Mapping[Cells, Cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One row that is not what it was: before and after, None where it was not there."""

    touch: Touch
    columns: tuple[str, ...]
    before: Cells | None
    after: Cells | None

    @property
    def change(self) -> Change:
        """What became of it."""
        if self.before is None:
            return Change.INSERTED
        return Change.DELETED if self.after is None else Change.CHANGED

    @property
    def key(self) -> Cells:
        """The images of its key."""
        row = dict(zip(self.columns, self.after or self.before or (), strict=True))
        return tuple(row[name] for name in self.touch.key)

    @property
    def whole(self) -> dict[str, Image]:
        """The row that is to be deleted or inserted, by column."""
        return dict(zip(self.columns, self.after or self.before or (), strict=True))

    @property
    def compared(self) -> dict[str, Image]:
        """What must still stand there for the row to be taken back, by column."""
        row = self.whole
        if self.before is None or self.touch.columns is None:
            return row
        return {n: v for n, v in row.items() if n in self.touch.columns}

    @property
    def back(self) -> dict[str, Image]:
        """The columns to put back, as they were."""
        if self.before is None or self.after is None:
            return {}
        every = zip(self.columns, self.before, self.after, strict=True)
        return {n: was for n, was, now in every if was != now and _counts(self.touch, n)}


def look(touch: Touch, columns: Sequence[str], found: Iterable[Sequence[Image]]) -> Look:
    """Rows as they were read, by key; TargetError where that cannot tell them apart."""
    at = [list(columns).index(name) for name in touch.key]
    rows: dict[Cells, Cells] = {}
    for cells in found:
        key = tuple(cells[i] for i in at)
        if key in rows or None in key:
            raise TargetError(
                f"the key of {touch.table} in touches= does not tell its rows apart",
                found="two rows of one key" if key in rows else "a row whose key is null",
                fix="name the table's primary key",
            )
        rows[key] = tuple(cells)
    if len(rows) > MOST:
        raise TargetError(
            f"the condition on {touch.table} in touches= covers too many rows for one call",
            found=f"more than {MOST:,}: {touch.where}",
            fix="name the rows of the one unit that the service is called for: "
            'where="session_id = :id"',
        )
    return Look(touch=touch, columns=tuple(columns), rows=rows)


def deltas(before: Sequence[Look], after: Sequence[Look]) -> list[Delta]:
    """What differs between two looks, in the order of the tables."""
    found: list[Delta] = []
    was_of = {one.touch.table: one for one in before}
    for now in after:
        was = was_of.get(now.touch.table, replace(now, rows={}))
        columns = tuple(c for c in now.columns if c in was.columns)
        for key in dict.fromkeys((*was.rows, *now.rows)):
            delta = Delta(
                touch=now.touch,
                columns=columns,
                before=_cells(was, key, columns),
                after=_cells(now, key, columns),
            )
            if delta.change is not Change.CHANGED or delta.back:
                found.append(delta)
    return found


def _cells(one: Look, key: Cells, columns: Sequence[str]) -> Cells | None:
    row = one.rows.get(key)
    if row is None:
        return None
    named = dict(zip(one.columns, row, strict=True))
    return tuple(named[c] for c in columns)


def _counts(touch: Touch, column: str) -> bool:
    return touch.columns is None or column in touch.columns


def pack_looks(looks: Sequence[Look]) -> bytes:
    """Looks as a blob."""
    return squeeze([[asdict(x.touch), x.columns, list(x.rows.values())] for x in looks])


def unpack_looks(blob: bytes) -> list[Look]:
    """The other way round."""
    return [look(touch_from(t), columns, rows) for t, columns, rows in unsqueeze(blob)]


def pack_deltas(found: Sequence[Delta]) -> bytes:
    """Deltas as a blob."""
    return squeeze([[asdict(d.touch), d.columns, d.before, d.after] for d in found])


def unpack_deltas(blob: bytes) -> list[Delta]:
    """The other way round."""
    return [
        Delta(
            touch=touch_from(t),
            columns=tuple(columns),
            before=None if before is None else tuple(before),
            after=None if after is None else tuple(after),
        )
        for t, columns, before, after in unsqueeze(blob)
    ]


def counted(found: Iterable[Delta]) -> tuple[TouchedTable, ...]:
    """How many rows of each table, by what became of them."""
    books: dict[str, TouchedTable] = {}
    for delta in found:
        name = delta.touch.table
        books[name] = books.get(name, TouchedTable(table=name)).plus(delta.change)
    return tuple(books.values())


def books_to_json(tables: Sequence[TouchedTable]) -> str:
    """Counts as JSON."""
    return json.dumps([asdict(table) for table in tables], separators=(",", ":"))


def books_from_json(text: str | None) -> tuple[TouchedTable, ...]:
    """The other way round."""
    return tuple(TouchedTable(**one) for one in json.loads(text)) if text else ()


def with_left(books: Sequence[TouchedTable], left: Sequence[TouchedLeft]) -> str:
    """The same counts as JSON, with how many rows of each table undoing has left alone."""
    alone = Counter(row.table for row in left)
    return books_to_json([replace(table, left=alone[table.table]) for table in books])


def backwards(found: Sequence[Delta]) -> list[Delta]:
    """The order in which rows go back: what was inserted last goes first, parents come first."""
    gone = [d for d in found if d.change is Change.DELETED]
    new = [d for d in reversed(found) if d.change is Change.INSERTED]
    return [*new, *(d for d in found if d.change is Change.CHANGED), *gone]


BACK: Final = "back"
"""The word for a row that stands already as it stood before the call."""


def judged(delta: Delta, now: Mapping[str, Image] | None) -> str:
    """Whether a row may be taken back: the empty text, BACK, or what stands in the way."""
    was, made = delta.before, delta.after
    if now is None:
        return "" if made is None else BACK if was is None else GONE
    if made is None:
        return BACK if all(now.get(n) == image for n, image in delta.whole.items()) else THERE
    if all(n in now and now[n] == image for n, image in delta.compared.items()):
        return ""
    if was is not None and all(now.get(n) == image for n, image in delta.back.items()):
        return BACK
    return CHANGED


@dataclass(slots=True)
class Undoing:
    """The books of undoing one unit, while it goes on."""

    unit: Key
    done: list[Delta]
    left: dict[int, TouchedLeft]
    back: int = 0

    @classmethod
    def of(cls, unit: Key) -> Undoing:
        """Nothing yet."""
        return cls(unit=unit, done=[], left={})

    def leave(self, at: int, delta: Delta, why: str) -> None:
        """Note a row that stays as it is."""
        self.left[at] = TouchedLeft(
            unit=self.unit,
            table=delta.touch.table,
            key=tuple(None if part is None else str(part) for part in delta.key),
            reason=why,
            holds=why not in (CHANGED, GONE, THERE),
        )

    def result(self) -> Untouched:
        """The books at the end."""
        return Untouched(
            tables=counted(self.done),
            left=tuple(self.left[at] for at in sorted(self.left)),
            back=self.back,
            units=1,
        )


def pruned(unit: Key, books: Sequence[TouchedTable], found: Sequence[Delta]) -> Untouched:
    """The books of the rows whose images are forgotten: all that were, but those still kept."""
    kept = {table.table: table.rows for table in counted(found)}
    return Untouched(
        left=tuple(
            TouchedLeft(unit=unit, table=table.table, key=(), reason=PRUNED)
            for table in books
            for _ in range(table.rows - kept.get(table.table, 0))
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Which rows of a unit are to be forgotten: all, those of a table, or some of that one.

    `keys` are texts, their parts as a person types them; `text` makes one of an image.
    """

    table: str | None
    keys: frozenset[tuple[str, ...]]
    text: Callable[[Image], str]

    def kept(self, before: bytes | None, after: bytes | None) -> tuple[bytes | None, int] | None:
        """What stays of the deltas, and how many rows go; None where nothing is named.

        The first look goes with any row of it: a later look would take what is missing there for
        a row that the service inserted.
        """
        looks = unpack_looks(before) if before is not None else []
        found = unpack_deltas(after) if after is not None else []
        rest = [d for d in found if not self._names(d.touch, d.key)]
        looked = any(self._names(one.touch, key) for one in looks for key in one.rows)
        if len(rest) == len(found) and not looked:
            return None
        return pack_deltas(rest) if rest else None, len(found) - len(rest)

    def _names(self, touch: Touch, key: Cells) -> bool:
        if self.table is None:
            return True
        mine = not self.keys or tuple(map(self.text, key)) in self.keys
        return touch.table == self.table and mine


def unseen(unit: Key, touches: Sequence[Touch]) -> Untouched:
    """The books of a unit of which nobody knows what was written."""
    tables = ", ".join(touch.table for touch in touches)
    left = TouchedLeft(unit=unit, table=tables, key=(), reason=UNSEEN)
    return Untouched(left=(left,), units=1)


def same_looks(one: Sequence[Look], other: Sequence[Look]) -> bool:
    """Whether nothing was written between two looks."""
    return not deltas(one, other)


def inserting(found: Sequence[Delta]) -> Iterator[str]:
    """Tables into which the service inserted: a reference from there goes with its row."""
    yield from {d.touch.table for d in found if d.change is Change.INSERTED}


SCRIPT: Final = (
    "\n-- Rows that a called service wrote. Others may have written to them while it worked, and\n"
    "-- nobody can tell their writes from its own: read these before you run them.\n"
)
VERIFY: Final = "-- Verification: how many rows are still as the service left them; it must be 0.\n"


def unit_comment(unit: Key, found: Sequence[Delta]) -> str:
    """What the statements of one unit are about."""
    said = "; ".join(f"{table.table}: {table.told}" for table in counted(found))
    return f"-- {' '.join(f'{json.dumps(list(unit))}: {said}'.split())}\n"


def unknown_comment(unit: Key, *, pruned: bool) -> str:
    """Why a unit has no statements."""
    why = PRUNED if pruned else UNSEEN
    return f"-- Not in here, {' '.join(json.dumps(list(unit)).split())}: {why}.\n"
