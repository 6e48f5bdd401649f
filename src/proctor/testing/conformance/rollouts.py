"""What every log of rollouts must do: append in order, refuse whoever decided by an older one."""

from __future__ import annotations

import asyncio

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest

from proctor.errors import Fenced, RunActive, UsageError
from proctor.model import Holder, LogEntry, Rollout, RolloutState
from proctor.ports import RolloutLog
from proctor.testing.clock import FakeClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)

Logs: TypeAlias = Callable[[], Awaitable[RolloutLog]]
"""Opens one more log on the same data, as another process would; closed by the fixture.

All of them go by the fixture `clock`.
"""


def entry(
    kind: str = "stage.entered", *, second: int = 0, who: str = "ann", **data: Any
) -> LogEntry:
    """An entry of the suite."""
    return LogEntry(kind=kind, at=NOW + timedelta(seconds=second), who=who, data=data)


def fresh(ident: str = "r1", name: str = "overnight", **other: Any) -> Rollout:
    """A rollout that has not begun."""
    return replace(
        Rollout(
            id=ident,
            name=name,
            env="local",
            state=RolloutState.PLANNED,
            number=0,
            epoch=0,
            holder=None,
            beat=NOW,
            created=NOW,
        ),
        **other,
    )


def process(pid: int) -> Holder:
    """Who drives."""
    return Holder(host="ops", pid=pid, started="boot:space:1", user="ann")


class RolloutLogConformance:
    """Begin, take, add. Subclasses give the fixture `logs`, which opens logs on one database."""

    async def test_entries_come_back_as_they_were_in_order(self, logs: Logs) -> None:
        """Every field; numbers rise from 1 without gaps."""
        log = await logs()
        begun = await log.begin(
            fresh(), [entry("rollout.began", digest="d", list=[1, {"a": None}])]
        )
        added = await log.add(begun, [entry(second=1, stage=0), entry(second=2, stage=1)])
        found = await log.entries("r1")
        assert [(e.number, e.kind) for e in found] == [
            (1, "rollout.began"),
            (2, "stage.entered"),
            (3, "stage.entered"),
        ]
        assert found[0].data == {"digest": "d", "list": [1, {"a": None}]}
        assert found[2].at == NOW + timedelta(seconds=2)
        assert added.number == 3
        assert [e.number for e in await log.entries("r1", after=2)] == [3]

    async def test_whoever_decided_by_an_older_log_adds_nothing(self, logs: Logs) -> None:
        """The number of the last entry is what two writers queue for."""
        one, two = await logs(), await logs()
        begun = await one.begin(fresh(), [entry("rollout.began")])
        await two.add(begun, [entry("approval.given", who="bo")], driving=False)
        with pytest.raises(Fenced):
            await one.add(begun, [entry("stage.passed")])
        assert [e.kind for e in await one.entries("r1")] == ["rollout.began", "approval.given"]

    async def test_of_many_who_add_at_once_each_adds_once(self, logs: Logs) -> None:
        """Two people who approve at the same time both end up in the log."""
        opened = [await logs() for _ in range(4)]
        await opened[0].begin(fresh(), [entry("rollout.began")])

        async def approve(log: RolloutLog, who: str) -> None:
            while True:
                now = await log.rollout("r1")
                try:
                    await log.add(now, [entry("approval.given", who=who)], driving=False)
                except Fenced:
                    continue
                return

        await asyncio.gather(*(approve(log, f"p{n}") for n, log in enumerate(opened)))
        found = await opened[0].entries("r1")
        assert sorted(e.who for e in found[1:]) == ["p0", "p1", "p2", "p3"]

    async def test_a_new_driver_fences_the_old_one(self, logs: Logs, clock: FakeClock) -> None:
        """The epoch rises: the process that was believed dead writes nothing more."""
        one, two = await logs(), await logs()
        await one.begin(fresh(), [entry("rollout.began")])
        first = await one.take("r1", process(1), lease_for=LEASE, dead=False)
        await clock.advance(LEASE.total_seconds())
        second = await two.take("r1", process(2), lease_for=LEASE, dead=False)
        assert second.epoch == first.epoch + 1
        with pytest.raises(Fenced):
            await one.add(first, [entry()])
        with pytest.raises(Fenced):
            await one.beat(first)
        assert (await two.add(second, [entry()])).number == 2

    async def test_a_driver_that_lives_is_not_taken_over(
        self, logs: Logs, clock: FakeClock
    ) -> None:
        """RunActive until its lease is over, unless it is known to be dead or has left."""
        log = await logs()
        await log.begin(fresh(), [entry("rollout.began")])
        first = await log.take("r1", process(1), lease_for=LEASE, dead=False)
        await clock.advance(20)
        await log.beat(first)
        await clock.advance(20)
        with pytest.raises(RunActive) as refused:
            await log.take("r1", process(2), lease_for=LEASE, dead=False)
        assert "process 1" in refused.value.found
        await log.take("r1", process(2), lease_for=LEASE, dead=True)
        held = await log.rollout("r1")
        assert held.beat == await log.now() == clock.now()
        await log.release(held)
        taken = await log.take("r1", process(3), lease_for=LEASE, dead=False)
        assert taken.holder == process(3)

    async def test_the_former_driver_does_not_release_the_new_one(self, logs: Logs) -> None:
        """Whoever was fenced gives up what is his alone."""
        log = await logs()
        await log.begin(fresh(), [entry("rollout.began")])
        first = await log.take("r1", process(1), lease_for=LEASE, dead=False)
        await log.take("r1", process(2), lease_for=LEASE, dead=True)
        await log.release(first)
        assert (await log.rollout("r1")).holder == process(2)

    async def test_one_of_a_name_is_under_way_in_an_environment(self, logs: Logs) -> None:
        """Until it has ended; elsewhere, and of another name, there may be others."""
        log = await logs()
        begun = await log.begin(fresh(), [entry("rollout.began")])
        with pytest.raises(RunActive) as refused:
            await log.begin(fresh("r2"), [entry("rollout.began")])
        assert "r1" in refused.value.found
        await log.begin(fresh("r3", env="production"), [entry("rollout.began")])
        await log.begin(fresh("r4", name="other"), [entry("rollout.began")])
        await log.add(begun, [entry("rollout.ended")], state=RolloutState.ACTIVE)
        await log.begin(fresh("r2", created=NOW + LEASE), [entry("rollout.began")])
        assert [one.id for one in await log.rollouts("local")] == ["r2", "r4", "r1"]

    async def test_the_state_moves_with_the_entry_that_says_so(self, logs: Logs) -> None:
        """In one transaction: nobody sees one without the other."""
        log = await logs()
        begun = await log.begin(fresh(), [entry("rollout.began")])
        held = await log.add(begun, [entry("rollout.held")], state=RolloutState.HELD)
        assert (await log.rollout("r1")).state is RolloutState.HELD
        with pytest.raises(Fenced):
            await log.add(begun, [entry()], state=RolloutState.ACTIVE)
        assert await log.rollout("r1") == held

    async def test_a_rollout_is_found_by_the_beginning_of_its_id(self, logs: Logs) -> None:
        """As people type it; UsageError where that is nobody or several."""
        log = await logs()
        await log.begin(fresh("r261129-aa"), [entry("rollout.began")])
        await log.begin(fresh("r261129-ab", name="other"), [entry("rollout.began")])
        assert (await log.rollout("r261129-ab")).name == "other"
        for wrong in ("r261129", "r9", "r261129-%"):
            with pytest.raises(UsageError):
                await log.rollout(wrong)


__all__ = ["RolloutLogConformance"]
