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
    windows: tuple[Window, ...] = ()
    sources: tuple[Callable[[], Awaitable[Signal]], ...] = ()
    limits: Callable[[Sequence[Signal]], Sequence[Signal]] = lambda signals: signals
    tuning: Tuning = field(default_factory=Tuning)
    now: Pressure = field(default_factory=Pressure)
    signals: tuple[Signal, ...] = ()
    seen: set[str] = field(default_factory=set)
    not_before: float = 0.0
    reason: str = ""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def watch(self, health: Health) -> Pressure:
        """Take in the store's health and the user's signals; what they allow from now on."""
        own = [await source() for source in self.sources]
        self.signals = tuple(self.limits([*health.signals, *own]))
        self.now = pressure(self.signals, seen=self.seen, runs=health.runs)
        self.seen |= {s.name for s in self.signals if s.value is not None}
        return self.now

    async def wait(self) -> None:
        """Before a chunk is read: wait while a window is shut or a signal says stop."""
        while not self.stopped.is_set() and (reason := self._shut()):
            self.reason = reason
            await self.clock.sleep(CHECK_EVERY)
        if not self.stopped.is_set() and self.now.duty >= 1.0:
            self.reason = ""

    def _shut(self) -> str:
        at = self.clock.now()
        for window in self.windows:
            if (opens := closed_until(window, at)) is not None:
                return f"blackout {window.text} until {opens:%Y-%m-%d %H:%M} UTC"
        return self.now.reason if self.now.duty <= 0.0 else ""

    async def before_write(self) -> None:
        """Rest out what the last write owes; reading and computing count as rest."""
        while not self.stopped.is_set():
            left = self.not_before - self.clock.monotonic()
            if left <= 0:
                return
            await self.clock.sleep(min(left, CHECK_EVERY))

    def wrote(self, *, keys: int, took: timedelta, rows: int, bytes_read: int) -> None:
        """A write transaction ended: learn the chunk size and owe the rest."""
        self.sizing = resized(self.sizing, keys=keys, took=took, bytes_read=bytes_read)
        busy = took.total_seconds()
        rest = rest_after(busy, min(self.duty, self.now.duty))
        self.reason = self.now.reason if self.now.duty < 1.0 else ""
        pause = self.pause if self.tuning.pause is None else self.tuning.pause
        rest = max(rest, pause.total_seconds())
        if self.tuning.rows_per_second:
            rest = max(rest, rows / self.tuning.rows_per_second - busy)
        self.not_before = max(self.not_before, self.clock.monotonic()) + rest if rest else 0.0

    def chunk_rows(self) -> int:
        """Keys for the next new chunk: the operator's word, or what was measured."""
        return self.tuning.chunk_rows or self.sizing.rows


def shut_now(windows: Sequence[Window], at: datetime) -> datetime | None:
    """When the last of the windows that are shut at `at` opens; None if none is."""
    shut = [end for w in windows if (end := closed_until(w, at)) is not None]
    return max(shut, default=None)
