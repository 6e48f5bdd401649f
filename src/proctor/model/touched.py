"""Rows that a called service writes: which ones, what it did to them, and what undoing came to."""

from __future__ import annotations

import enum

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from proctor.model.key import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One table of a called service, and which of its rows it may write for a unit.

    `where` is the author's SQL, in which `:name` is a column of the unit's key or a parameter.
    `columns` are those whose changes are the service's; None for all.
    """

    table: str
    key: tuple[str, ...]
    where: str
    columns: tuple[str, ...] | None = None


class Change(enum.StrEnum):
    """What became of a row between the look before the call and the one after it."""

    INSERTED = "inserted"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedTable:
    """How many rows of a table were written by a service, by what it did."""

    table: str
    inserted: int = 0
    changed: int = 0
    deleted: int = 0
    left: int = 0
    """Those of them that undoing their unit left alone."""

    @property
    def rows(self) -> int:
        """All of them."""
        return self.inserted + self.changed + self.deleted

    @property
    def told(self) -> str:
        """In words."""
        return ", ".join(
            f"{count:,} {change.value}"
            for change in Change
            if (count := int(getattr(self, change.value)))
        )

    def plus(self, change: Change, count: int = 1) -> TouchedTable:
        """The same with `count` more rows."""
        name = change.value
        return replace(self, **{name: getattr(self, name) + count})


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedUnit:
    """What a service did for one unit in one run, as the target remembers it."""

    unit: Key
    noted: datetime
    """When its rows were first looked at, before the service was called."""
    seen: datetime | None
    """When they were looked at after the call; None where a crash came between."""
    tables: tuple[TouchedTable, ...]
    undone: bool = False
    pruned: bool = False

    @property
    def rows(self) -> int:
        """How many rows are not as they were."""
        return sum(table.rows for table in self.tables)

    @property
    def left(self) -> int:
        """How many of them undoing left alone."""
        return sum(table.left for table in self.tables)

    @property
    def turn(self) -> datetime:
        """Sorts units as the service wrote: its rows were as noted at this moment."""
        return self.seen or self.noted


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedLeft:
    """A row that a service wrote and that undoing left alone, and why."""

    unit: Key
    table: str
    key: tuple[str | None, ...]
    """Empty where nobody knows it."""
    reason: str
    holds: bool = False
    """Whether it still is as the service left it, and something else stood in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """What undoing the rows of a called service came to.

    `tables` are the rows that are taken back, by what the service had done; `left` those that
    were left alone. `back` rows stood already as they had before the call.
    """

    tables: tuple[TouchedTable, ...] = ()
    left: tuple[TouchedLeft, ...] = ()
    back: int = 0
    units: int = 0

    @property
    def rows(self) -> int:
        """How many rows were taken back."""
        return sum(table.rows for table in self.tables)

    def __add__(self, other: Untouched) -> Untouched:
        """The books of two units together."""
        return Untouched(
            tables=together((*self.tables, *other.tables)),
            left=self.left + other.left,
            back=self.back + other.back,
            units=self.units + other.units,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedBooks:
    """What a run's services did, over all of its units."""

    tables: tuple[TouchedTable, ...] = ()
    """Rows that are not undone, by table."""
    undone: int = 0
    """Rows that were taken back."""
    left: int = 0
    """Rows that undoing their unit left alone."""
    unseen: int = 0
    """Units whose rows nobody looked at again after the call."""
    names: tuple[str, ...] = field(default=())
    """The tables that the backfill declares."""

    @property
    def rows(self) -> int:
        """Rows that could be undone."""
        return sum(table.rows for table in self.tables)

    @property
    def standing(self) -> bool:
        """Whether anything is left that an undo would have to look at."""
        return bool(self.rows or self.unseen)

    @property
    def told(self) -> str:
        """What is left, in words: by table, and by what the service did."""
        said = [f"{one.table}: {one.told}" for one in self.tables if one.rows]
        if self.unseen:
            calls = "call" if self.unseen == 1 else "calls"
            said.append(f"{self.unseen:,} {calls} of which nobody knows what they wrote")
        return "; ".join(said)


def together(tables: Iterable[TouchedTable]) -> tuple[TouchedTable, ...]:
    """One entry for each table, in the order of their first appearance."""
    found: dict[str, TouchedTable] = {}
    for one in tables:
        known = found.get(one.table, TouchedTable(table=one.table))
        found[one.table] = TouchedTable(
            table=one.table,
            inserted=known.inserted + one.inserted,
            changed=known.changed + one.changed,
            deleted=known.deleted + one.deleted,
        )
    return tuple(found.values())


def touched_books(units: Sequence[TouchedUnit], touches: Sequence[Touch]) -> TouchedBooks:
    """What the services of a run did, by what the target remembers of each unit."""
    standing = [u for u in units if not u.undone]
    return TouchedBooks(
        tables=together(table for unit in standing for table in unit.tables),
        undone=sum(u.rows - u.left for u in units if u.undone),
        left=sum(u.left for u in units if u.undone),
        unseen=sum(1 for u in standing if u.seen is None),
        names=tuple(touch.table for touch in touches),
    )
