"""All that a rollout is driven with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from proctor.authoring import Backfill
from proctor.engine.kit import Stop
from proctor.engine.rolling.journal import Journal
from proctor.engine.site import Site
from proctor.model import Figures, FlagState, Metric, Probe, RolloutPlan, Run
from proctor.ports import Clock, Crew, Flag, Hand, Statistics

Measure = Callable[[Metric, datetime, datetime, "Figures | None"], Awaitable[Figures]]
"""Asks a metric's source about the time between two moments; Unmeasured where it cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a probe came to. `answer` is JSON, for comparing and for the report."""

    ok: bool
    told: str
    answer: Any = None


@dataclass(slots=True, kw_only=True)
class Rig:
    """What the stages of one rollout work with. Its clock may run faster than the machine's."""

    site: Site
    plan: RolloutPlan
    backfills: Mapping[str, Backfill]
    journal: Journal
    clock: Clock
    measure: Measure
    statistics: Statistics
    condition: Callable[[str, Figures], bool]
    """Whether a condition holds of figures; Unmeasured where it cannot be computed."""
    outside: Callable[[Probe], Awaitable[Answered]]
    """Asks a probe whose answer is outside: git, variables, HTTP, a command."""
    flag: Callable[[str], Awaitable[Flag]]
    crew: Crew
    folder: Path
    """Where its files are kept: reports, plans, logs of workers."""
    run_plan: Callable[[str, Mapping[str, str], Path], Awaitable[tuple[str, str]]]
    """Makes the plan of a run and keeps it in a file; its digest, and what it says in a line."""
    undo: Callable[[str], AsyncIterator[str]]
    """SQL that takes a run back without Proctor."""
    stop: Stop
    params: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Those of backfills that are applied, by name."""
    patient: bool = False
    """Whether approvals are waited for, instead of leaving."""
    hands: dict[str, Hand] = field(default_factory=dict)
    flags: dict[str, Flag] = field(default_factory=dict)
    carry: dict[str, Any] = field(default_factory=dict)
    """What need not outlive the process: when to look next."""

    async def opened(self, name: str) -> Flag:
        """A flag, opened once."""
        if name not in self.flags:
            self.flags[name] = await self.flag(name)
        return self.flags[name]

    async def read(self, flag: str, /) -> FlagState:
        """What a flag's tool says of it."""
        return await (await self.opened(flag)).read()

    def of(self, backfill: str) -> Backfill:
        """A backfill by its name; the rollout was checked against those there are."""
        return self.backfills[backfill]


async def latest(rig: Rig, backfill: str) -> Run | None:
    """The newest run of a backfill in this environment."""
    runs = await rig.site.store.runs(backfill=backfill)
    return next((run for run in runs if run.env == rig.site.env), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one look at a stage came to: it is done, or there is nothing to do before `until`."""

    done: str = ""
    """Why it is passed, in words; empty while it is not."""
    about: tuple[tuple[str, dict[str, Any]], ...] = ()
    """What is written down together with that."""
    until: datetime | None = None
    """When to look again."""


def wait(now: datetime, seconds: float) -> Turn:
    """Look again after so long."""
    return Turn(until=now + timedelta(seconds=seconds))


def rest(rig: Rig, seconds: float) -> Turn:
    """Look again after so many seconds of the machine's clock, by which processes work.

    Less where the rollout's clock runs faster, for then it is somebody who waits for it.
    """
    speed = rig.journal.standing.speed
    return wait(rig.clock.now(), seconds * speed / min(speed, FASTER))


FASTER = 10.0
"""So many times as often a process is looked at, at most, in a rollout with a faster clock."""


__all__ = ["Answered", "Measure", "Rig", "Turn", "latest", "rest", "wait"]
