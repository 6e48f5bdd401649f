"""The clock on the wall."""

from __future__ import annotations

import asyncio
import time

from datetime import UTC, datetime


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


class FastClock:
    """Real time that runs faster from an origin on: hours of a rollout in seconds of a demo.

    Whoever opens it with the same origin and speed sees the same time.
    """

    def __init__(self, origin: datetime, speed: float) -> None:
        """`speed` of 60 makes a minute of each second."""
        self._origin = origin
        self._speed = speed

    def now(self) -> datetime:
        """Aware UTC: the origin, and what has passed since times the speed."""
        return self._origin + (datetime.now(UTC) - self._origin) * self._speed

    def monotonic(self) -> float:
        """Seconds that never run backwards, as fast as the rest."""
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        """Let others work meanwhile, until that much of its time has passed."""
        await asyncio.sleep(max(0.0, seconds) / self._speed)


__all__ = ["FastClock", "SystemClock"]
