"""The rest of the outside world: the ledger, processor time and the clock."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

from proctor.model import (
    Chain,
    Event,
)


class Ledger(Protocol):
    """Our control plane: the record of what happened. SQL only; none of it is progress."""

    async def append(self, events: Sequence[Event]) -> None:
        """Keep events for good, in order."""

    async def events(
        self, *, run: str | None = None, name: str | None = None, limit: int | None = None
    ) -> list[Event]:
        """Events, oldest first; with `limit` the newest that many."""

    async def verify_chain(self) -> Chain:
        """Whether the record is as it was written: each event is chained to the one before."""

    async def aclose(self) -> None:
        """Give connections back."""


class Executor(Protocol):
    """Gives processor time to slices; its own retries are off."""

    def submit(self, fn: Any, /, *args: Any, **resources: float) -> Future[Any]:
        """Run a picklable function somewhere."""

    def close(self) -> None:
        """Wait for what is running and free the processes."""


class Statistics(Protocol):
    """What counts prove; every bound is one-sided and exact."""

    def most_share(self, failures: int, samples: int, confidence: float, /) -> float:
        """The largest share with which no more than `failures` of `samples` are not too rare."""

    def most_rows(self, failures: int, samples: int, of: int, confidence: float, /) -> int:
        """The same as a number of the `of` rows that the sample was drawn from."""


class Clock(Protocol):
    """Time, handed in so that tests need not wait."""

    def now(self) -> datetime:
        """Aware UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    async def sleep(self, seconds: float) -> None:
        """Let others work meanwhile."""
