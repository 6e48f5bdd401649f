"""A chunk on its way from its rows to its outcome, and back."""

from __future__ import annotations

import enum

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from proctor.model.key import Image, Key, Row
from proctor.model.unit import Emitted, UnitNote


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A half-open key range `(after, upto]`, or the keys listed inside it."""

    run: str
    number: int
    after: Key | None
    upto: Key
    keys: tuple[Key, ...] | None = None
    sweep: int = 0
    """0 in the first pass, then the number of the sweep that made it."""
    attempt: int = 1
    """How often its rows were read and had moved before they could be written."""
    revisited: int = 0
    """How many of `keys` an earlier chunk had counted as conflicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A worker's claim on a chunk for a limited time, and the fence its write must show."""

    chunk: Chunk
    fence: int
    worker: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The eligible rows of a chunk, in columns: all five sequences run in step.

    `versions` are the store's own and opaque; `images` hold one tuple a row, in the order of
    `Spec.writes`, None where an `into` row does not exist yet. `gone` are keys of an explicit
    chunk that no longer stand there or are no longer eligible. `timed_out` says that a sample
    is what was found until the time was up: there may be more. Row values stay out of its repr,
    and so out of log lines and tracebacks.
    """

    keys: Sequence[Key]
    rows: Sequence[Row] = field(repr=False)
    versions: Sequence[Any] = field(repr=False)
    images: Sequence[tuple[Image, ...] | None] = field(repr=False)
    gone: tuple[Key, ...] = ()
    bytes_read: int = 0
    timed_out: bool = False


class Bucket(enum.StrEnum):
    """Where a row that was read ended: exactly one of these."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    REFUSED = "refused"
    FAILED = "failed"
    CONFLICTED = "conflicted"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A row that was read and not written, and why; `reason` carries no row values."""

    key: Key
    bucket: Bucket
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many rows of a chunk, or of a run, ended where. The buckets add up to `read`."""

    read: int = 0
    written: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: int = 0
    failed: int = 0
    conflicted: int = 0
    gone: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        """The books of two chunks together."""
        return Outcome(**{f: getattr(self, f) + getattr(other, f) for f in OUTCOME_FIELDS})

    def since(self, earlier: Outcome) -> Outcome:
        """The books of what came after `earlier`, which is a part of these."""
        return Outcome(**{f: getattr(self, f) - getattr(earlier, f) for f in OUTCOME_FIELDS})

    @property
    def balances(self) -> bool:
        """Whether every row read is in exactly one bucket."""
        return self.read == sum(self.as_dict()[b.value] for b in Bucket)

    def as_dict(self) -> dict[str, int]:
        """JSON-safe, in the order of the field list."""
        return {f: getattr(self, f) for f in OUTCOME_FIELDS}

    def plus(self, bucket: Bucket, count: int = 1) -> Outcome:
        """The same books with `count` more rows read into a bucket."""
        grown = {bucket.value: getattr(self, bucket.value) + count, "read": self.read + count}
        return replace(self, **grown)


OUTCOME_FIELDS: Final = ("read", *(b.value for b in Bucket))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A page with its answers, decided: what to write and where every other row ended.

    `index[i]` is the position in `page` of the i-th row to write, `values[i]` its values in
    the order of `Spec.writes`. The store adds written, unchanged, moved and refused-by-the-
    server to `outcome` inside its own transaction. `ready` is what it made of the values ahead
    of that, for itself alone.
    """

    page: Page
    index: Sequence[int]
    values: Sequence[tuple[Any, ...]] = field(repr=False)
    outcome: Outcome = field(default_factory=Outcome)
    issues: tuple[Issue, ...] = ()
    ready: object = field(default=None, repr=False, compare=False)
    emitted: Sequence[Sequence[Emitted]] = field(default=(), repr=False)
    """Where units emit rows: those of each unit to write, in the place of `values`."""
    notes: Mapping[Key, UnitNote] = field(default_factory=dict, repr=False)
    """What the attempts at the page's units had to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one write transaction did, after it committed.

    `retry` leases a new chunk with the rows that had moved since they were read; their books
    are that chunk's. `took` is the time of the write transaction alone.
    """

    outcome: Outcome
    issues: tuple[Issue, ...]
    took: timedelta
    retry: Lease | None = None
    undo_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journalled:
    """One row in the undo journal: its written fields before and after, as `Spec.writes`.

    `before` is None for a row that the run inserted. `after` is None where only a digest was
    kept and the row no longer holds what it stands for. Values stay out of its repr.
    """

    key: Key
    before: tuple[Image, ...] | None = field(repr=False)
    after: tuple[Image, ...] | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What undoing one chunk did: its rows end in exactly one of the four.

    `restored` got their before-image back (or were deleted again), `changed` somebody else
    changed since and were left alone, `gone` no longer exist, `blocked` the server refused.
    """

    written: int = 0
    restored: int = 0
    changed: int = 0
    gone: int = 0
    blocked: int = 0
    left: tuple[Issue, ...] = ()
    took: timedelta = timedelta(0)

    def __add__(self, other: Undone) -> Undone:
        """The books of two chunks together."""
        return Undone(
            written=self.written + other.written,
            restored=self.restored + other.restored,
            changed=self.changed + other.changed,
            gone=self.gone + other.gone,
            blocked=self.blocked + other.blocked,
            left=self.left + other.left,
            took=self.took + other.took,
        )

    def then(self, later: Undone, keys: Sequence[Key]) -> Undone:
        """What undoing a chunk came to after `keys` of it, or what was left of them, were undone.

        A row that was left alone stands in the books as it was found last.
        """
        again = frozenset(keys) if self.left else frozenset[Key]()
        left = (*(i for i in self.left if i.key not in again), *later.left)
        found = Counter(issue.bucket for issue in left)
        changed, gone = found[Bucket.CONFLICTED], found[Bucket.GONE]
        restored = self.restored + later.restored
        return Undone(
            written=restored + len(left),
            restored=restored,
            changed=changed,
            gone=gone,
            blocked=len(left) - changed - gone,
            left=left,
        )

    @property
    def balances(self) -> bool:
        """Whether every row that the run wrote here is accounted for."""
        return self.written == self.restored + self.changed + self.gone + self.blocked
