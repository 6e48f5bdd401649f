"""The rest of the outside world: the ledger, processor time and the clock."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # nothing here needs them at run time
    from proctor.model import Chain, Event, Figures


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

    def share_bounds(self, events: int, total: int, confidence: float, /) -> tuple[float, float]:
        """A lower and an upper bound of a rate, each with that confidence."""

    def students(self, confidence: float, freedom: int, /) -> float:
        """The quantile of Student's t."""

    def harm(self, events: int, total: int, rate: float, /, *, above: bool) -> float:
        """How strongly counts speak against "the rate is at least `rate`" (`above`: at most).

        An e-value: where that is true, the chance that it ever reaches 20 is at most 1 in 20,
        however often and whenever one looks.
        """


class Conditions(Protocol):
    """Computes the conditions of metrics."""

    def holds(self, expression: str, result: Figures, /) -> bool:
        """Whether it holds of these figures. Raises Unmeasured where that cannot be computed."""


class Clock(Protocol):
    """Time, handed in so that tests need not wait."""

    def now(self) -> datetime:
        """Aware UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    async def sleep(self, seconds: float) -> None:
        """Let others work meanwhile."""

    def faster(self, origin: datetime, speed: float) -> Clock:
        """One that ran `speed` times as fast as this from `origin` on, and shows that time."""
