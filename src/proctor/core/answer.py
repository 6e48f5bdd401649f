"""What became of a row in the author's function, where it did not give the fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Skip:
    """This row needs nothing: it is left alone and counted as skipped.

    why: a short reason without row values; rows are counted by it.

        if row["placeholder"]:
            return Skip("placeholder song")
    """

    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """This row must not be written: it is left alone and counted as refused.

    why: a short reason without row values; rows are counted by it.

        if not row["title"].strip():
            return Refuse("no title to embed")
    """

    why: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The function raised, or what it returned cannot be written.

    reason: one sentence without row values. cause: what two rows that fail in the same way
    have in common (an exception's type and place); the reason where it is empty. by_check: it
    could have been written, and a check rejected it.
    """

    reason: str
    cause: str = ""
    by_check: bool = False

    @property
    def way(self) -> str:
        """What makes two failures the same."""
        return self.cause or self.reason


Answer: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]] | Skip | Refuse
"""What an author's function returns for one row; a list is the rows that a unit emits."""

Answered: TypeAlias = Mapping[str, Any] | Sequence[Any] | Skip | Refuse | Failure
"""What the engine has for one row after the function was called."""
