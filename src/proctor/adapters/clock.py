"""The clock on the wall."""

from __future__ import annotations

import asyncio
import time

from datetime import UTC, datetime, timedelta

from proctor.ports import Clock


class SystemClock:
    """Real time, as ports.Clock."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let others work meanwhile; at least one turn of the loop, also for 0 and less."""
        await asyncio.sleep(max(0.0, seconds))

    def faster(self, origin: datetime, speed: float) -> FastClock:
        """The clock of a rollout that was begun at `origin`, `speed` times as fast."""
        return FastClock(self, origin, speed)


class AheadClock(SystemClock):
    """The machine's time, moved forward: where a test or a demo wants tomorrow.

    Who sleeps until a moment should look at the clock now and then, as Proctor's own waits do.
    """

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        """Begin with the machine's own time, and `ahead`."""
        self.ahead = ahead

    def advance(self, seconds: float) -> None:
        """Let that much time have gone by."""
        self.ahead += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """Aware UTC."""
        return super().now() + self.ahead

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return super().monotonic() + self.ahead.total_seconds()


class FastClock:
    """A clock that runs faster from an origin on: hours of a rollout in seconds of a demo.

    Whoever opens it with the same origin and speed over the same clock sees the same time.
    """

    def __init__(self, real: Clock, origin: datetime, speed: float) -> None:
        """`speed` of 60 makes a minute of each second of the real one."""
        self._real = real
        self._origin = origin
        self._speed = speed

    def now(self) -> datetime:
        """Aware UTC: the origin, and what has passed since times the speed."""
        return self._origin + (self._real.now() - self._origin) * self._speed

    def monotonic(self) -> float:
        """Seconds that never run backwards, as fast as the rest."""
        return self._real.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        """Let others work meanwhile, until that much of its time has passed."""
        await self._real.sleep(max(0.0, seconds) / self._speed)

    def faster(self, origin: datetime, speed: float) -> FastClock:
        """As fast again, from an origin on that is a time of this clock."""
        return FastClock(self, origin, speed)


__all__ = ["AheadClock", "FastClock", "SystemClock"]
