"""Events: in order, kept though the ledger fails, and never in the way of the run."""

import asyncio
import logging

from datetime import UTC, datetime

import pytest

from proctor.adapters.ledger import MemoryLedger
from proctor.engine.events import EVENTS, Events
from proctor.errors import Unreachable
from proctor.testing.clock import FakeClock

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


class Ledger(MemoryLedger):
    """A ledger that can be out of reach, or slow to answer."""

    def __init__(self):
        super().__init__()
        self.broken = None
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, events):
        self.asked += 1
        await self.gate.wait()
        if self.broken:
            raise self.broken
        await super().append(events)

    async def names(self):
        return [event.name for event in await self.events()]


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def clock():
    return FakeClock(START)


@pytest.fixture
def events(ledger, clock):
    return Events(ledger=ledger, clock=clock, env="local", who="ann")


GONE = Unreachable("the ledger does not answer")


async def test_an_event_says_what_when_where_who_and_with_what(events, ledger):
    events.emit("run.tuned", "r1", before={"workers": 2}, after={"workers": 4})
    await events.flush()
    (kept,) = await ledger.events()
    assert (kept.name, kept.run, kept.env, kept.who) == ("run.tuned", "r1", "local", "ann")
    assert kept.at == START
    assert kept.data == {"before": {"workers": 2}, "after": {"workers": 4}}


async def test_events_are_kept_in_the_order_in_which_they_happened(events, ledger):
    names = ["run.opened", "run.throttled", "sweep.started", "run.succeeded"]
    for name in names[:3]:
        events.emit(name, "r1")
    await events.flush()
    events.emit(names[3], "r1")
    await events.flush()
    assert await ledger.names() == names


async def test_events_that_the_target_keeps_are_only_heard(events, ledger):
    """A million chunks are in the target's own table already."""
    heard = []
    events.hear.append(lambda event: heard.append(event.name))
    for name in EVENTS:
        events.emit(name)
    await events.flush()
    assert heard == list(EVENTS)
    assert await ledger.names() == [name for name, kept in EVENTS.items() if kept]


async def test_an_event_that_is_not_listed_is_a_bug(events):
    with pytest.raises(KeyError):
        events.emit("run.exploded")


async def test_nothing_waiting_does_not_ask_the_ledger(events, ledger):
    await events.flush()
    assert ledger.asked == 0


async def test_a_ledger_that_fails_loses_nothing(events, ledger):
    """What could not be written waits, before what came later."""
    events.emit("run.opened", "r1")
    ledger.broken = GONE
    with pytest.raises(Unreachable):
        await events.flush()
    events.emit("run.tuned", "r1")
    ledger.broken = None
    await events.flush()
    assert await ledger.names() == ["run.opened", "run.tuned"]


async def test_what_happens_while_the_ledger_fails_keeps_its_place(events, ledger):
    """Events emitted during a write that then fails come after those of the write."""
    ledger.gate.clear()
    ledger.broken = GONE
    events.emit("run.opened", "r1")
    writing = asyncio.create_task(events.flush())
    await asyncio.sleep(0)
    events.emit("run.tuned", "r1")
    ledger.gate.set()
    await asyncio.gather(writing, return_exceptions=True)
    ledger.broken = None
    await events.flush()
    assert await ledger.names() == ["run.opened", "run.tuned"]


async def test_two_flushes_at_once_write_each_event_once(events, ledger):
    ledger.gate.clear()
    events.emit("run.opened", "r1")
    first = asyncio.create_task(events.flush())
    await asyncio.sleep(0)
    events.emit("run.tuned", "r1")
    second = asyncio.create_task(events.flush())
    await asyncio.sleep(0)
    ledger.gate.set()
    await asyncio.gather(first, second)
    assert await ledger.names() == ["run.opened", "run.tuned"]


async def test_events_reach_the_ledger_while_the_run_goes_on(events, ledger, clock):
    """A crash costs a second of events, not all of them."""
    async with events.flushing():
        events.emit("run.opened", "r1")
        await clock.sleep(1.5)
        assert await ledger.names() == ["run.opened"]
        events.emit("run.succeeded", "r1")
    assert await ledger.names() == ["run.opened", "run.succeeded"]


async def test_a_ledger_that_fails_in_the_middle_is_asked_again(events, ledger, clock):
    """An hour without the ledger is no reason to stop, nor to forget."""
    async with events.flushing():
        ledger.broken = GONE
        events.emit("run.opened", "r1")
        await clock.sleep(60)
        assert ledger.asked > 10
        ledger.broken = None
        await clock.sleep(2)
        assert await ledger.names() == ["run.opened"]


async def test_any_error_of_the_ledger_is_borne(events, ledger, clock, caplog):
    """Also one that its adapter did not foresee; its text may hold anything and is not logged."""
    async with events.flushing():
        ledger.broken = RuntimeError("postgresql://app:hunter2@db")
        events.emit("run.opened", "r1")
        await clock.sleep(3)
        ledger.broken = None
    assert await ledger.names() == ["run.opened"]
    complaints = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert complaints
    assert all(r.proctor["why"] == "RuntimeError" for r in complaints)
    assert all(r.proctor["waiting"] == 1 for r in complaints)


async def test_a_ledger_that_fails_to_the_end_is_said(events, ledger):
    """What is not on record must not pass in silence."""
    ledger.broken = GONE
    with pytest.raises(Unreachable):
        async with events.flushing():
            events.emit("run.opened", "r1")


async def test_the_ledgers_error_does_not_hide_the_runs_own(events, ledger):
    async def work():
        async with events.flushing():
            events.emit("run.opened", "r1")
            raise ZeroDivisionError

    ledger.broken = GONE
    with pytest.raises(ZeroDivisionError):
        await work()
    assert [event.name for event in events.waiting] == ["run.opened"]


async def test_a_write_in_hand_at_the_end_is_neither_lost_nor_doubled(events, ledger, clock):
    """The block ends while the ledger is still answering."""
    async with events.flushing():
        ledger.gate.clear()
        events.emit("run.opened", "r1")
        await clock.sleep(1.5)
        assert ledger.asked == 1
        events.emit("run.succeeded", "r1")
        asyncio.get_running_loop().call_later(0, ledger.gate.set)
    assert await ledger.names() == ["run.opened", "run.succeeded"]


async def test_events_are_kept_when_the_run_is_cancelled(events, ledger, clock):
    async def work():
        async with events.flushing():
            events.emit("run.opened", "r1")
            await clock.sleep(3600)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await ledger.names() == ["run.opened"]


async def test_a_listener_that_breaks_breaks_nothing_else(events, ledger, caplog):
    """A face is not the run: the others still hear, and the ledger still keeps."""
    heard = []

    def broken(event):
        raise ValueError(event.data["why"])

    events.hear += [broken, lambda event: heard.append(event.name)]
    events.emit("run.throttled", "r1", why="secret of a face")
    await events.flush()
    assert heard == ["run.throttled"]
    assert await ledger.names() == ["run.throttled"]
    (complaint,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert complaint.proctor["why"] == "ValueError"


async def test_every_event_is_a_log_line(events, caplog):
    with caplog.at_level(logging.INFO, "proctor"):
        events.emit("chunk.applied", "r1", chunk=7)
    (line,) = caplog.records
    assert (line.name, line.getMessage()) == ("proctor", "chunk.applied")
    assert line.proctor == {"run": "r1", "chunk": 7}


@pytest.mark.parametrize("name", EVENTS)
def test_a_name_is_a_noun_and_what_happened_to_it(name):
    noun, _, verb = name.partition(".")
    assert noun.isalpha()
    assert noun.islower()
    assert verb.replace("_", "").isalpha()
