"""A clock whose time passes only while everybody sleeps: tests of hours take milliseconds."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from proctor.adapters.clock import AheadClock, FastClock

TURNS: Final = 25
"""Turns of the loop that others get before time moves on."""


@dataclass(order=True, slots=True)
class _Sleeper:
    wakes: float
    number: int
    waiting: asyncio.Future[None] = field(compare=False)


class FakeClock:
    """Virtual time, as ports.Clock.

    A sleeper is woken when its turn comes in virtual time, the earliest first and equal ones in
    the order in which they fell asleep; before each step of time all other tasks get a number
    of turns. With `auto=False` time stands still until `advance` moves it.
    """

    def __init__(
        self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, auto: bool = True
    ) -> None:
        """Begin at `start`, in aware UTC."""
        self.start = start
        self.auto = auto
        self.elapsed = 0.0
        self._sleepers: list[_Sleeper] = []
        self._numbers = itertools.count()
        self._stepping = False

    def now(self) -> datetime:
        """Aware UTC: the start and what has passed since."""
        return self.start + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        """Seconds of virtual time since the start."""
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait for virtual time to pass; others work meanwhile."""
        loop = asyncio.get_running_loop()
        wakes = self.elapsed + max(0.0, seconds)
        sleeper = _Sleeper(wakes, next(self._numbers), loop.create_future())
        heapq.heappush(self._sleepers, sleeper)
        if self.auto and not self._stepping:
            self._stepping = True
            loop.call_soon(self._step, loop, TURNS)
        await sleeper.waiting

    def faster(self, origin: datetime, speed: float) -> FastClock:
        """As ports.Clock."""
        return FastClock(self, origin, speed)

    async def advance(self, seconds: float) -> None:
        """Let that much time pass, waking every sleeper on the way in order."""
        until = self.elapsed + seconds
        await self._others()
        while self._sleepers and self._sleepers[0].wakes <= until:
            self._wake()
            await self._others()
        self.elapsed = max(self.elapsed, until)

    def _step(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        if turns:
            loop.call_soon(self._step, loop, turns - 1)
            return
        self._wake()
        if self._sleepers:
            loop.call_soon(self._step, loop, TURNS)
        else:
            self._stepping = False

    def _wake(self) -> None:
        """Wake the next one who still sleeps; who was cancelled does not move time."""
        while self._sleepers:
            sleeper = heapq.heappop(self._sleepers)
            if not sleeper.waiting.done():
                self.elapsed = max(self.elapsed, sleeper.wakes)
                sleeper.waiting.set_result(None)
                return

    async def _others(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)


__all__ = ["AheadClock", "FakeClock"]
