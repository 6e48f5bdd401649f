"""A rollout's log in hand: what was read of it, and the one way to add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from proctor.core.rolling import MOVES, Standing, fold, stumble
from proctor.engine.events import Events
from proctor.errors import Fenced, IllegalMove, RunActive
from proctor.model import LogEntry, Rollout, RolloutState
from proctor.ports import Clock, RolloutLog


class Moved(Exception):
    """Somebody has added to the log since it was read; nothing of ours was written."""


@dataclass(slots=True)
class Journal:
    """The log of one rollout. Every addition is durable when `add` returns."""

    log: RolloutLog
    rollout: Rollout
    clock: Clock
    who: str
    events: Events
    entries: list[LogEntry] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)

    async def refresh(self) -> None:
        """Read what was added. RunActive where another process drives it by now."""
        now = await self.log.rollout(self.rollout.id)
        if now.epoch != self.rollout.epoch:
            raise RunActive(
                f"rollout {self.rollout.id} is driven by another process",
                found=str(now.holder or "one that has left since"),
                fix="leave it to that one; or stop it, and start this again",
            )
        self.rollout = now
        await self.read()

    async def read(self) -> None:
        """Read the entries that are not known here yet."""
        new = await self.log.entries(self.rollout.id, after=len(self.entries))
        if new or not self.entries:
            self.entries += new
            self.standing = fold(new, self.standing)

    async def add(self, kind: str, /, *, state: RolloutState | None = None, **data: Any) -> None:
        """Write one thing down. Moved where the log is not as it was read."""
        await self.add_all([(kind, data)], state=state)

    async def add_all(
        self, told: Sequence[tuple[str, dict[str, Any]]], *, state: RolloutState | None = None
    ) -> None:
        """Write several things down, all or none: no crash comes between what belongs together."""
        before = self.rollout.state
        if state is not None and state is not before and (before, state) not in MOVES:
            raise IllegalMove(
                f"rollout {self.rollout.id} cannot become {state.value}",
                found=f"it is {before.value}",
            )
        known, now = len(self.entries), self.clock.now()
        entries = [LogEntry(kind=kind, at=now, who=self.who, data=data) for kind, data in told]
        try:
            self.rollout = await self.log.add(self.rollout, entries, state=state)
        except Fenced:
            await self.refresh()
            raise Moved from None
        # As the ledger gives it back: what was redacted there is redacted here.
        await self.read()
        for entry in self.entries[known:]:
            self.tell(entry)

    def tell(self, entry: LogEntry) -> None:
        """Put an entry on the ledger's record, and tell those who want to know of such things."""
        if entry.kind in LITTLE:
            return
        rollout, brief = self.rollout, {k: v for k, v in entry.data.items() if k not in LONG}
        self.events.emit(
            "rollout.logged",
            rollout=rollout.id,
            of=rollout.name,
            kind=entry.kind,
            number=entry.number,
            entry=brief,
        )
        since = next((e.number for e in reversed(self.entries) if e.kind in TURNS), 0)
        if entry.kind.startswith("step_back."):
            self._tell_back(entry, since)
        else:
            self._tell_on(entry, since)

    def _tell_on(self, entry: LogEntry, since: int) -> None:
        """A word to a person, an end, a worker that is gone."""
        events, rollout, data = self.events, self.rollout, entry.data
        if entry.kind == "rollout.held":
            events.emit(
                "rollout.held",
                rollout=rollout.id,
                of=rollout.name,
                since=since,
                why=data["why"],
                verdict=data["verdict"],
                digest=data["digest"],
                look=data["look"],
                type=data["type"],
            )
        elif entry.kind == "rollout.ended":
            events.emit(
                "rollout.ended",
                rollout=rollout.id,
                of=rollout.name,
                why=data["why"],
                state=rollout.state.value,
            )
        elif entry.kind == "worker.ended":
            events.emit(
                "worker.died",
                rollout=rollout.id,
                of=rollout.name,
                backfill=data["backfill"],
                code=data["code"],
            )

    def _tell_back(self, entry: LogEntry, since: int) -> None:
        """A step back: begun, stuck, or done. Readers are let in until it is done."""
        events, rollout, data = self.events, self.rollout, entry.data
        if entry.kind == "step_back.begun":
            events.emit(
                "rollout.step_back_begun",
                rollout=rollout.id,
                of=rollout.name,
                since=since,
                why=data["why"],
            )
        elif entry.kind == "step_back.stumbled":
            events.emit(
                "rollout.step_back_stumbled",
                rollout=rollout.id,
                of=rollout.name,
                since=since,
                why=stumble(entry),
                tries=data["tries"],
            )
        elif entry.kind == "step_back.ended":
            events.emit(
                "rollout.stepped_back",
                rollout=rollout.id,
                of=rollout.name,
                since=since,
                why=data["why"],
                told=data["told"],
            )


LONG = frozenset(
    {"shown", "answer", "outline", "text", "claims", "raw", "inside", "readers", "files", "parts"}
)
"""Parts of entries that stand in the rollout's own log alone."""
TURNS = frozenset({"stage.entered", "stage.retried", "rollout.went_on", "step_back.begun"})
"""Entries behind which what happens is news, also where the same has happened before."""
LITTLE = frozenset({"metric.measured", "metric.missed", "snapshot.appended"})
"""Entries of which there are too many for the record."""


__all__ = ["Journal", "Moved"]
