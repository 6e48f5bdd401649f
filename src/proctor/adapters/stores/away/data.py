"""What progress that is kept away asks of the data: rows read, cut, written and compared."""

from __future__ import annotations

import enum

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias

from proctor.adapters.stores import journal
from proctor.adapters.stores.away.chunks import Cursor, Half, Want
from proctor.adapters.stores.away.intents import Intent
from proctor.model import (
    Applied,
    Chunk,
    Journalled,
    Key,
    Lease,
    Page,
    Run,
    Settled,
    Span,
    Spec,
    Undone,
)
from proctor.ports import Store, Terms, UndoTerms

Bound: TypeAlias = tuple[int, str | None, str]
"""A chunk's number, `after` and `upto` as JSON."""


class Fate(enum.Enum):
    """What became of a write whose intent nobody has settled."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    GOING = "going"
    """Its transaction has not ended."""
    UNKNOWN = "unknown"
    """Only the images can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What undoing a chunk begins with; `fence` must still stand when it is marked."""

    number: int
    fence: int
    applied: datetime | None
    undone: bool
    undo: bytes | None
    after: Key | None
    upto: Key
    books: Undone
    """What undoing it has come to so far."""


class Book(Protocol):
    """Where a write on the data keeps its intent and says that it is done."""

    async def check(self, lease: Lease) -> None:
        """Fenced unless the chunk is this worker's and nothing of it is in doubt."""

    async def intend(self, lease: Lease, intent: Intent) -> None:
        """Keep the intent under the chunk's fence, before COMMIT; or Fenced."""

    def intend_now(self, lease: Lease, intent: Intent, instead: Intent | None) -> None:
        """The same for a store's own thread; `instead` of an intent whose COMMIT was refused."""

    def intend_undo_now(self, run: str, kept: Kept, intent: Intent, instead: Intent | None) -> None:
        """The same for an undo."""

    async def kept(self, run: str, number: int) -> Kept | None:
        """The undo data of an applied chunk."""

    async def intend_undo(self, run: str, kept: Kept, intent: Intent) -> None:
        """Keep the intent of an undo, before COMMIT; or Busy."""

    async def done(self, run: str, number: int, intent: Intent) -> Lease | None:
        """After COMMIT: the lease of the moved rows. InDoubt where it cannot be kept."""


class Data(Protocol):
    """The rows of one database; nothing of Proctor's is kept there."""

    patience: timedelta
    """For how long a transaction on its way is waited for."""
    warning: str
    """How an intent is settled here, in words for the plan."""

    @property
    def rows(self) -> Store:
        """Reads and surveys; of no other use, for its tables are not there."""

    async def place(self, spec: Spec) -> str:
        """The table that is written, by its full name."""

    async def span(self, spec: Spec, span: Span) -> tuple[list[Key], Key | None]:
        """The listed keys as the server spells them, in scan order; the key before the span."""

    async def cut(
        self, spec: Spec, run: Run, want: Want, cursor: Cursor
    ) -> tuple[list[Chunk], Cursor]:
        """New chunks behind a cursor, without their numbers."""

    async def halves(self, spec: Spec, chunk: Chunk, page: Page | None) -> list[Half]:
        """Where to cut a chunk; TargetError where it has one row."""

    def eligible(self, spec: Spec, run: Run) -> AsyncIterator[list[Key]]:
        """Pages of the keys of the target set that are eligible now, in scan order."""

    async def meeting(
        self, spec: Spec, bounds: Sequence[Bound], first: Key, last: Key
    ) -> list[int]:
        """The numbers of the ranges that meet the keys from `first` to `last`."""

    async def apply(
        self, spec: Spec, lease: Lease, settled: Settled, terms: Terms, book: Book
    ) -> Applied:
        """Write a settled page: guarded, the intent before the COMMIT."""

    async def apply_sql(self, spec: Spec, lease: Lease, terms: Terms, book: Book) -> Applied:
        """The same for `sql=`."""

    async def undo(self, spec: Spec, run: Run, number: int, terms: UndoTerms, book: Book) -> Undone:
        """Undo one chunk: the intent before the COMMIT."""

    async def verify(self, spec: Spec, run: Run, number: int, book: Book) -> Undone:
        """Compare what one chunk wrote with what stands."""

    def script(
        self, spec: Spec, run: Run, numbers: Sequence[int], book: Book
    ) -> AsyncIterator[str]:
        """SQL that undoes chunks without Proctor."""

    async def shown(self, spec: Spec, undo: bytes, count: int) -> list[Journalled]:
        """At most `count` rows of a chunk's undo data, as people read them."""

    async def fate(self, witness: Mapping[str, Any]) -> Fate:
        """What became of a transaction."""

    async def standing(self, spec: Spec, chunk: Chunk, undo: journal.Undo) -> Collection[int]:
        """Positions of the rows that hold what was written, once no writer is on its way."""

    async def aclose(self) -> None:
        """Give connections back."""
