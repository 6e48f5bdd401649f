"""What stands on the bills of runs besides calls: kept here until the next trip to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from proctor.engine.events import Events
from proctor.model import BatchCall, Bill, Ending, Neared
from proctor.ports import Settlement

Tell: TypeAlias = Callable[[Neared, str], None]
"""Told that four fifths of a limit are used, and by which run."""
TellBatch: TypeAlias = Callable[[BatchCall, Settlement | None], None]
"""Told that a vendor works on a batch call, and how that ended."""


@dataclass(slots=True)
class Notes:
    """Answers for nothing and fallbacks, by run and provider.

    They cost nothing, so no trip is made for them: a crash loses those of the last moments.
    """

    waiting: dict[tuple[str, str], Bill] = field(default_factory=dict)

    def add(self, run: str, provider: str, *, kept: int = 0, fallbacks: int = 0) -> None:
        """Count them with the others that wait."""
        if kept or fallbacks:
            self.back([Bill(run=run, provider=provider, kept=kept, fallbacks=fallbacks)])

    def take(self) -> list[Bill]:
        """All that wait, for a trip."""
        taken, self.waiting = list(self.waiting.values()), {}
        return taken

    def back(self, bills: Iterable[Bill]) -> None:
        """Let them wait for the next trip."""
        for bill in bills:
            name = (bill.run, bill.provider)
            self.waiting[name] = bill + self.waiting[name] if name in self.waiting else bill


def tells(events: Events) -> Tell:
    """What puts it on record."""

    def tell(near: Neared, run: str) -> None:
        events.emit(
            "limit.neared",
            run,
            provider=near.provider,
            limit=near.limit,
            used=near.used,
            of=near.of,
        )

    return tell


def tells_batches(events: Events) -> TellBatch:
    """What puts batch calls on record."""

    def tell(batch: BatchCall, settled: Settlement | None) -> None:
        note = batch.note
        if settled is None:
            events.emit(
                "batch.submitted",
                batch.run,
                provider=batch.provider,
                batch=batch.id,
                questions=note.questions,
                held_usd=str(batch.usd),
            )
            return
        events.emit(
            "batch.ended",
            batch.run,
            provider=batch.provider,
            batch=batch.id,
            questions=note.questions,
            answered=len(settled.replies),
            usd=str(settled.cost),
            how=("settled" if settled.ended is Ending.ANSWERED else settled.ended.value),
        )

    return tell


__all__ = ["Notes", "Tell", "TellBatch", "tells", "tells_batches"]
