"""Who may use the target, and who may compute: so many at a time, however many chunks are in hand.

A worker has one chunk more in hand than it may write at once, so that one is computed while
another is written. A turn at the target is one write and, at once behind it, the next read: the
reader would else queue behind all who are ready to write, with nothing to compute meanwhile.
"""

from __future__ import annotations

import asyncio

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(slots=True)
class Gate:
    """At most `limit()` at a time, first come, first served; the limit may change meanwhile."""

    limit: Callable[[], int]
    each: int = 0
    """How many of them one page may take; 0 where that is said elsewhere."""
    inside: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def enter(self) -> None:
        """Wait until there is room."""
        if self.inside < self.limit() and not self.waiting:
            self.inside += 1
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(called)
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self.leave()  # the place was ours already
            raise

    def leave(self) -> None:
        """Make room and let in whoever has waited longest."""
        self.inside -= 1
        while self.waiting and self.inside < self.limit():
            called = self.waiting.popleft()
            if not called.done():
                self.inside += 1
                called.set_result(None)

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.leave()


@dataclass(slots=True)
class Turn:
    """One lane's place at a gate, kept from one use to the next until it is given up."""

    gate: Gate
    held: bool = False

    async def take(self) -> None:
        """Wait for the place unless it is still held."""
        if not self.held:
            await self.gate.enter()
            self.held = True

    def give(self) -> None:
        """Let others in."""
        if self.held:
            self.held = False
            self.gate.leave()
