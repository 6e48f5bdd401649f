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


__all__ = ["SystemClock"]
