"""What a worker carries: the wired collaborators and the little state of its process."""

from __future__ import annotations

import asyncio
import math

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from proctor.authoring import Backfill
from proctor.core.checks import Detect
from proctor.core.pace import Pace
from proctor.engine.alarms import Alarms
from proctor.engine.columns import WATCHED, Notes
from proctor.engine.events import Events
from proctor.engine.pacing import Pacing
from proctor.engine.turns import Gate
from proctor.model import Key, Outcome, Page, Reparse, Run, Spec
from proctor.ports import Asking, Clock, Store, Terms

MOST_WAITING = 200
"""Chunks that wait for batch calls, at most: each is held in memory, and its lease kept."""


@dataclass(slots=True)
class Stop:
    """Two words from outside: finish the chunk in hand, then abandon it."""

    level: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""

    def ask(self, reason: str = "interrupted") -> int:
        """Ask once to finish what is in hand, twice to drop it; the level now."""
        self.level = min(2, self.level + 1)
        self.reason = self.reason or reason
        self.heard.set()
        return self.level


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A daily quota is used up: nobody can be asked before `until`."""

    provider: str
    until: datetime
    why: str

    @property
    def said(self) -> str:
        """In the words of every face."""
        return f"the daily quota of {self.provider} until {self.until:%Y-%m-%d %H:%M} UTC"


@dataclass(slots=True)
class Kit:
    """Everything that processing one chunk needs; one for each process and run."""

    store: Store
    backfill: Backfill
    spec: Spec
    run: Run
    params: Any
    terms: Terms
    pacing: Pacing
    clock: Clock
    events: Events
    dice: Callable[[], float]
    worker: str
    lease_for: timedelta
    asking: Asking | None = None
    """What functions ask providers through; None where none is configured."""
    alarms: Alarms = field(default_factory=Alarms)
    """What of the run's numbers people want to be told of."""
    reparse: Reparse = Reparse.NO
    """Whether replies that rows got in earlier runs are read anew."""
    detect: Detect | None = None
    """Tells the language of a text, for checks."""
    redact: Callable[[str], str] = str
    """Takes secrets out of what is kept of an author's or a server's words."""
    lanes: int = 1
    """Chunks that may be written at once, and pages that may be computed at once."""
    leased: Callable[[], Sequence[str]] = tuple
    """The worker names whose leases are in hand: a heartbeat keeps them."""
    until: datetime | None = None
    """When this process stops claiming: the end of a slice, or `--until`."""
    stop: Stop = field(default_factory=Stop)
    began: Outcome = field(default_factory=Outcome)
    """The run's books when this process took it."""
    forgiven: Outcome = field(default_factory=Outcome)
    """The run's books when a person last let it go on: the error budget begins anew there."""
    chunks: int = 0
    """Chunks of the run that are applied, as far as this process knows."""
    mine: Outcome = field(default_factory=Outcome)
    """What this process has applied since."""
    pace: Pace = field(default_factory=Pace)
    place: tuple[int, Key | None] = (-1, None)
    """Rows read and cursor at the last beat."""
    moved_at: float = 0.0
    """When, on the monotonic clock, either last moved."""
    stalled: bool = False
    looking: bool = False
    """Rows that are left are looked for or counted: none is settled meanwhile."""
    halt: str = ""
    """Why no further chunk may be claimed; set once, by whoever finds out first."""
    held: bool = False
    """Money or a quota is used up: a person must decide, or a day must pass."""
    patient: bool = True
    """Whether a daily quota that is used up is waited for; else the run pauses."""
    rest: Rest | None = None
    """What is waited for: nothing is begun meanwhile, and the run goes on by itself."""
    first: bool = True
    """No page of this run was settled yet: a bug in every answer is the author's, at once."""
    notes: Notes = field(default_factory=Notes)
    """Which columns the function uses of the run's first rows."""
    wrong: bool = False
    """It was: nothing is written any more, whatever else is in hand."""
    writing: Gate = field(init=False)
    """Turns at the target: as many connections work on rows as there are lanes."""
    computing: Gate = field(init=False)
    """As many pages as there are lanes; at first one, whose answers tell whether to go on."""
    seats: Gate | None = None
    """Where the function asks: its rows in flight, of all pages together. A page whose last row
    is asked about lets the next one compute, so that no seat is empty until its last answer."""
    together: int = 0
    """Calls of the function that wait at once, where their questions go into batch calls; else 0,
    and as many as the backfill says."""
    in_batch: Callable[[], bool] = lambda: False
    """Whether answers of a batch call are waited for: a vendor may take a day."""
    batch_open: Callable[[], Awaitable[bool]] | None = None
    """The same of all processes of the run, by the ledger."""

    def __post_init__(self) -> None:
        self.writing = Gate(lambda: self.lanes)
        self.computing = Gate(lambda: 1 if self.first else self.at_once)

    @property
    def at_once(self) -> int:
        """How many pages are computed at once: as many as lanes.

        A page of units holds one, so those of an asynchronous function are as many as its calls.
        """
        if self.spec.attempts and self.backfill.is_async:
            return max(self.lanes, self.backfill.concurrency)
        return self.lanes

    @property
    def hands(self) -> int:
        """Chunks in hand: one is read and computed while the others are written.

        Where the function asks, one more waits for its last answers.
        """
        if self.spec.sql:
            return self.lanes
        return self.at_once + (1 if self.seats is None else 2) + self._waiting

    @property
    def _waiting(self) -> int:
        """Chunks whose rows wait in batch calls; none before the first shows what is answered."""
        if not self.together or self.first:
            return 0
        rows = self.together * (self.backfill.batch or 1)
        return min(MOST_WAITING, math.ceil(rows / self.pacing.chunk_rows()))

    @property
    def seen(self) -> Outcome:
        """The run's books as far as this process knows: the target's, or its own where newer."""
        known = self.began + self.mine
        return self.run.outcome if self.run.outcome.read > known.read else known

    def noting(self, page: Page) -> Page:
        """The page for the function; of the run's first it is noted which columns are used."""
        return self.notes.on(page, WATCHED) if self.first else page

    def settled_first(self, page: Page) -> None:
        """Take down that the run's first page is settled, and what was noted of it."""
        if self.first and page.keys:
            self.first = False
            self.events.emit("columns.noted", self.run.id, columns=sorted(self.notes.names))

    def rename(self) -> None:
        """Take a new name, so that leases which nobody holds under the old one run out."""
        name, _, number = self.worker.partition("+")
        self.worker = f"{name}+{int(number or 0) + 1}"

    def halting(self, reason: str) -> None:
        """Claim nothing more; the chunks in hand are finished."""
        self.halt = self.halt or self.redact(reason)
        self.pacing.stopped.set()

    def stopped(self) -> int:
        """0 while questions may be asked, 1 when none may be begun, 2 when all is dropped."""
        return max(int(self.idle), self.stop.level)

    def resting(self, rest: Rest) -> None:
        """Begin nothing new before then: of several such rests the longest counts."""
        if self.rest is None or self.rest.until < rest.until:
            self.rest = rest

    @property
    def idle(self) -> bool:
        """Whether nothing new may be begun."""
        return self.ending or self.rest is not None

    @property
    def ending(self) -> bool:
        """Whether that is for good, as far as this process goes."""
        if self.stop.level:
            self.halting(self.stop.reason)
        return bool(self.halt) or (self.until is not None and self.clock.now() >= self.until)
