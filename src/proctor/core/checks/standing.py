"""Checks that only the database can judge: over rows as they stand there, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from proctor.core.checks.check import NULL, PASS, Finding, Ready, RowsCheck, fail
from proctor.core.checks.vectors import hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingCheck(Ready):
    """Judged over all rows by the database; it says nothing of a row before that is written."""

    @property
    def standing(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Refers(StandingCheck):
    """The value is the key of a row of another table; null refers to nothing, and is no fault."""

    kind: ClassVar[str] = "refers"
    table: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds(StandingCheck):
    """An SQL condition over the columns of a row is true; where it is null nobody can tell."""

    kind: ClassVar[str] = "sql"
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique(RowsCheck):
    """No two rows have the same value; all rows of a value that is there twice fail."""

    kind: ClassVar[str] = "unique"

    def judge_all(self, values: Sequence[Any]) -> list[Finding]:
        """Nulls are no values: they are neither unique nor not."""
        seen: dict[Any, int] = {}
        alike = [None if value is None else hashable(value) for value in values]
        for value in alike:
            seen[value] = seen.get(value, 0) + 1
        return [
            NULL if value is None else fail("is not unique") if seen[same] > 1 else PASS
            for value, same in zip(values, alike, strict=True)
        ]
