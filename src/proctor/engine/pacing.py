"""When the next chunk may be read and the next write may begin; the one place that rests."""

from __future__ import annotations

import asyncio

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from proctor.core.sizing import Sizing, resized
from proctor.core.throttle import Pressure, pressure, rest_after
from proctor.core.windows import Window, closed_until
from proctor.model import Health, Signal, Tuning
from proctor.ports import Clock

CHECK_EVERY = 0.25
"""Seconds between two looks while the run waits: an operator's word is heard within a second."""
CALM = 30.0
"""Seconds without a reason to wait after which the next one is news again."""
HELD_BELOW = 0.5
"""Under this duty the throttle alone explains a low rate."""


class Shut(Exception):
    """Nothing may be written now, and the run was told to stop while it waited."""


@dataclass(slots=True)
class Pacing:
    """The throttle of one process: signals in, rests out.

    `duty` is the largest share of time that write transactions may take (0.5 on SQLite, where
    one writer keeps all others out); `pause` is the rest after every chunk that no operator has
    tuned; `sources` are the user's own signals.
    """

    clock: Clock
    sizing: Sizing
    duty: float = 1.0
    pause: timedelta = timedelta(0)
    share: float = 1.0
    """This process's part of what the whole run may do, where several work on it."""
    windows: tuple[Window, ...] = ()
    sources: tuple[Callable[[], Awaitable[Signal]], ...] = ()
    limits: Callable[[Sequence[Signal]], Sequence[Signal]] = lambda signals: signals
    tuning: Tuning = field(default_factory=Tuning)
    now: Pressure = field(default_factory=Pressure)
    signals: tuple[Signal, ...] = ()
    unheard: dict[str, str] = field(default_factory=dict)
    """The user's own signals that have never answered, by name, with the reason: not watched."""
    seen: set[str] = field(default_factory=set)
    rested_at: float = 0.0
    """On the monotonic clock, when the rests owed for writes and pauses are over."""
    paid_at: float = 0.0
    """The same for the rows written under the operator's ceiling."""
    owed_under: Tuning = field(default_factory=Tuning)
    """The knobs under which both were owed: other knobs, other debts."""
    reason: str = ""
    """Why the run goes slower than it could at this moment, with numbers."""
    questions: Callable[[], str] = str
    """Why the questions of the author's function wait; empty while they do not."""
    cause: str = ""
    """What the latest reason was about; changes only with what is news."""
    last_cause_at: float = 0.0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, health: Health) -> Pressure:
        """Take in the store's health and the user's signals; what they allow from now on."""
        own = [await source() for source in self.sources]
        self.signals = tuple(self.limits([*health.signals, *own]))
        self.now = pressure(self.signals, seen=self.seen, runs=health.runs)
        self.seen |= {s.name for s in self.signals if s.load is not None}
        self.unheard = {s.name: s.why for s in own if s.value is None and s.name not in self.seen}
        window = self._blackout()
        self.reason = window or self.now.reason
        cause, at = "blackout" if window else self.now.cause, self.clock.monotonic()
        if cause:
            self.cause, self.last_cause_at = cause, at
        elif at - self.last_cause_at >= CALM:
            self.cause = ""
        return self.now

    @property
    def held(self) -> bool:
        """Whether a blackout or the throttle, and not the run itself, makes it slow now."""
        return bool(self._blackout()) or self.now.duty < HELD_BELOW

    async def wait(self) -> bool:
        """Before a chunk is read: wait while a window is shut or a signal says stop.

        False when the run was told to stop while it was shut: nothing may be written now.
        """
        while not self.stopped.is_set():
            shut = self._shut()
            self.reason = shut or self.now.reason
            if not shut:
                return True
            await self.clock.sleep(CHECK_EVERY)
        return not self._shut()

    async def before_write(self) -> bool:
        """Rest out what the last writes owe; reading and computing count as rest.

        Computing may take minutes: what has shut meanwhile is waited for here, and False means
        that it was still shut when the run was told to stop.
        """
        while not self.stopped.is_set():
            left = self._owed()
            if left <= 0:
                if not self._shut():
                    return True
                await self.wait()
                continue
            await self.clock.sleep(min(left, CHECK_EVERY))
        return not self._shut()

    def wrote(self, *, keys: int, took: timedelta, rows: int, bytes_read: int) -> None:
        """A write transaction ended: learn the chunk size and owe the rest."""
        self.sizing = resized(self.sizing, keys=keys, took=took, bytes_read=bytes_read)
        self._owed()
        now, busy = self.clock.monotonic(), took.total_seconds()
        rest = rest_after(busy, min(self.duty, self.now.duty) * self._part())
        pause = self.pause if self.tuning.pause is None else self.tuning.pause
        rest = max(rest, pause.total_seconds())
        if rest:
            self.rested_at = max(self.rested_at, now) + rest
        if self.tuning.rows_per_second:
            # From the start of the write, so that lanes that write at once pay for each row.
            ceiling = self.tuning.rows_per_second * self.share
            self.paid_at = max(self.paid_at, now - busy) + rows / ceiling

    def _part(self) -> float:
        """A duty below 1 is shared; without one every process may write all the time."""
        return self.share if min(self.duty, self.now.duty) < 1.0 else 1.0

    def chunk_rows(self) -> int:
        """Keys for the next new chunk: the operator's word, or what was measured."""
        return self.tuning.chunk_rows or self.sizing.rows

    def _owed(self) -> float:
        """Seconds of rest still owed; nothing once the operator has changed the knobs."""
        if self.tuning != self.owed_under:
            self.owed_under, self.rested_at, self.paid_at = self.tuning, 0.0, 0.0
        return max(self.rested_at, self.paid_at) - self.clock.monotonic()

    def _shut(self) -> str:
        return self._blackout() or (self.now.reason if self.now.duty <= 0.0 else "")

    def _blackout(self) -> str:
        opens = shut_now(self.windows, self.clock.now())
        if opens is None:
            return ""
        at = self.clock.now()
        text = next(w.text for w in self.windows if closed_until(w, at) is not None)
        return f"blackout {text} until {opens:%Y-%m-%d %H:%M} UTC"


def shut_now(windows: Sequence[Window], at: datetime) -> datetime | None:
    """When the last of the windows that are shut at `at` opens; None if none is."""
    shut = [end for w in windows if (end := closed_until(w, at)) is not None]
    return max(shut, default=None)
