"""Inside a function that may ask: for which rows it was called, and which question this is."""

from __future__ import annotations

import hashlib

from collections import Counter
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from proctor.engine.columns import Noted
from proctor.model import Key, Place, Row, Spec, canonical

ROW: ContextVar[Key] = ContextVar("ROW")
"""Inside a function that may ask: the key of its row, or of the first that it was given."""
CALLED: ContextVar[Called] = ContextVar("CALLED")
"""The call of the function."""
DIGITS: Final = 16
"""Hexadecimal digits that tell one value of a column from the one that it had before."""
ALL: Final = -1
"""In the place of one row's index: a question for all of them together."""


class _Both(set[str]):
    """Names for two who want to know."""

    __slots__ = ("more",)

    def __init__(self, more: set[str] | None) -> None:
        super().__init__()
        self.more = set[str]() if more is None else more

    def add(self, name: str) -> None:
        super().add(name)
        self.more.add(name)

    def update(self, *names: Iterable[str]) -> None:
        super().update(*names)
        self.more.update(*names)


@dataclass(slots=True, kw_only=True)
class Called:
    """One call of an author's function, with the rows as they were read and as it has them."""

    keys: Sequence[Key]
    rows: Sequence[Row]
    given: Sequence[Noted]
    ours: frozenset[str]
    """What we write into the same row: that it differs by now is no news."""
    asked: Counter[tuple[int, str]] = field(default_factory=Counter)

    def place(self, label: str, row: object, *, whole: bool) -> Place | None:
        """The place of the next question under that label; see `Asking.place`.

        whole: digests of every column, to compare with those that an earlier question was made of.
        """
        at = range(len(self.keys)) if row is None else self._index(row)
        if not at:
            return None
        name = (ALL if row is None else at[0], label)
        self.asked[name] += 1
        keys = _digest([self.keys[i] for i in at])
        columns = [c for c in self.rows[at[0]] if c not in self.ours]
        used = {c for i in at for c in self.given[i].names}
        # Of what a library takes without asking nothing is noted: then any column may be it.
        names = [c for c in columns if c in used] or columns
        seen = {
            c: _digest([keys, *(self.rows[i].get(c) for i in at)])[:DIGITS]
            for c in (columns if whole else names)
        }
        return Place(
            rows=keys, label=f"{label} {self.asked[name]}", seen=seen, used=tuple(sorted(names))
        )

    def _index(self, row: object) -> range:
        for i, one in enumerate(self.given):
            if one is row:
                return range(i, i + 1)
        return range(0)


def handed(spec: Spec, rows: Any, keys: Sequence[Key]) -> Any:
    """One row or several for a call of the function, which note what it takes of each."""
    single = not isinstance(rows, list)
    read: Sequence[Row] = [rows] if single else rows
    given = [Noted(_plain(row), _Both(getattr(row, "names", None))) for row in read]
    ROW.set(keys[0])
    ours = frozenset[str]() if spec.into or spec.emits else frozenset(spec.writes)
    CALLED.set(Called(keys=keys, rows=[_plain(row) for row in read], given=given, ours=ours))
    return given[0] if single else given


def asker_of(backfill: str, params: str, rows: str) -> str:
    """A digest of who asks: the same rows for the same backfill under the same parameters."""
    return hashlib.sha256(canonical([backfill, params, rows]).encode()).hexdigest()


def _plain(row: Row) -> Row:
    """The row itself, or what a row that notes what is taken from it holds, without noting."""
    return row if type(row) is dict else dict(dict.items(row))


def _digest(values: Sequence[Any]) -> str:
    told = repr([bytes(v) if isinstance(v, memoryview) else v for v in values])
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()


__all__ = ["ROW", "Called", "asker_of", "handed"]
