"""What every ready check is: a frozen value that judges a field of rows, and says why in words."""

from __future__ import annotations

import dataclasses

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeAlias

from proctor.core.checks.fields import texts
from proctor.model import Level, Row, Ruling

Detect: TypeAlias = Callable[[str], tuple[str, float]]
"""The likeliest language of a text, as ISO 639 writes it, and how sure that is, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says of one row.

    `reason` is the same for all rows of one kind of fault, and carries no row values: rows are
    counted by it, and sensitive fields stay where they are.
    """

    ruling: Ruling
    reason: str = ""


PASS = Finding(Ruling.PASS)
NULL = Finding(Ruling.INCONCLUSIVE, "is null")


def fail(reason: str) -> Finding:
    """The row is bad."""
    return Finding(Ruling.FAIL, reason)


def unsure(reason: str) -> Finding:
    """Nobody can tell: not known to be bad, and never green."""
    return Finding(Ruling.INCONCLUSIVE, reason)


@dataclass(frozen=True, slots=True)
class Given:
    """What a check may look at beside the value: the source's row, and what tells languages."""

    row: Row
    detect: Detect | None = None
    at: datetime | None = None
    """The time; None where nobody said it."""
    standing: bool = False
    """Whether the row stands in the database, and not what it is to be written over with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A check of one field.

    `allowed` is for verdicts over several rows: so many failures still pass, as a number of rows
    or, below 1, as a share of them. With fewer than `min_samples` rows that could be judged the
    verdict is inconclusive.
    """

    kind: ClassVar[str]
    field: str
    level: Level = Level.ERROR
    min_samples: int = 1
    allowed: float = 0
    where: str = ""
    """An SQL condition: other rows are not looked at."""

    @property
    def standing(self) -> bool:
        """Whether it says nothing of a row before that is written: a condition needs the row."""
        return bool(self.where)

    @property
    def rejects(self) -> bool:
        """Whether a row that fails is not written."""
        return self.level is not Level.WARNING

    def told(self, reason: str) -> str:
        """A reason with the name of the check and the field that it is about."""
        return f"check {self.kind}: {self.field} {reason}"

    def identity(self) -> dict[str, Any]:
        """Kind and parameters, JSON-safe: what an approval covers."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"kind": self.kind} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
        }

    def columns(self) -> tuple[str, ...]:
        """Columns of the source that it compares with."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCheck(Ready):
    """A check that judges each row by itself: before it is written, and among the latest."""

    def judge(self, value: Any, given: Given) -> Finding:
        """What it says of one row's value."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCheck(RowCheck):
    """A check of text; of a list or a document every text in it is judged, the first fault told."""

    def judge(self, value: Any, given: Given) -> Finding:
        """Judge each text: a fault outweighs doubt, and doubt outweighs a pass."""
        if value is None:
            return NULL
        found = texts(value)
        if found is None:
            return fail("is no text")
        doubt = None if found else unsure("holds no text")
        for text in found:
            said = self.text(text, given)
            if said.ruling is Ruling.FAIL:
                return said
            if said.ruling is Ruling.INCONCLUSIVE:
                doubt = said
        return doubt or PASS

    def text(self, text: str, given: Given) -> Finding:
        """What it says of one text."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsCheck(Ready):
    """A check that compares rows with each other: it says nothing of one row alone."""

    def judge_all(self, values: Sequence[Any]) -> list[Finding]:
        """One finding for each value, in their order."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row to be judged: its key, the source's row, and the values that are checked by name."""

    key: tuple[Any, ...]
    row: Row
    values: Mapping[str, Any]
