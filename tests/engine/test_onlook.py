"""What `watch` sees of a run in another process: its pace, its waits, how far it is taken back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from proctor.adapters.ledger import MemoryLedger
from proctor.engine.events import Events
from proctor.engine.onlook import Onlooker
from proctor.engine.site import Settings, Site
from proctor.errors import Unreachable
from proctor.model import (
    Chunk,
    ChunkRecord,
    ChunkState,
    Health,
    Outcome,
    Run,
    RunState,
    Signal,
    Span,
    Tuning,
)
from proctor.testing.clock import FakeClock

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RUN = Run(
    id="r1",
    backfill="normalize",
    version="1.0",
    env="local",
    target="wardrobe",
    fills=("normalized",),
    state=RunState.RUNNING,
    epoch=1,
    span=Span(),
    digest="{}",
    params="{}",
    created=START,
    expected=1000,
    tuning=Tuning(chunk_rows=25),
    outcome=Outcome(read=100, written=100),
)


class Target:
    """A target's health and chunks, and how often it was asked for them."""

    def __init__(self):
        self.lag = 1.0
        self.asked = 0
        self.undone = 0
        self.away = False

    async def health(self):
        if self.away:
            raise Unreachable("gone for a moment")
        self.asked += 1
        return Health(at=START, signals=(Signal(name="lag", value=self.lag, limit=10.0, unit="s"),))

    async def chunks(self, _run):
        return [
            ChunkRecord(
                chunk=Chunk(run="r1", number=n, after=None, upto=(n,)),
                state=ChunkState.APPLIED if n < 10 else ChunkState.OPEN,
                fence=1,
                worker="w",
                outcome=Outcome(read=10, written=10) if n < 10 else Outcome(),
                code="c",
                applied=START,
                took=timedelta(seconds=0.1),
                undone=n < self.undone,
            )
            for n in range(11)
        ]


def onlooker(target):
    clock = FakeClock(START)
    site = Site(
        env="local",
        protected=False,
        root=Path(),
        store=target,
        events=Events(ledger=MemoryLedger(), clock=clock, env="local", who="ann"),
        clock=clock,
        who="ann",
        settings=Settings(),
    )
    return Onlooker.of(site), clock


async def test_it_says_why_a_run_waits():
    """By the target's own signals, as the run itself sees them; calm again when they are."""
    target = Target()
    looking, clock = onlooker(target)
    assert (await looking.look(RUN)).throttle_reason == ""
    target.lag = 12.0
    await clock.sleep(2)
    seen = await looking.look(RUN)
    assert seen.throttle_reason == "lag is 12 of 10 s"
    assert [s.name for s in seen.throttle] == ["lag"]
    assert (seen.chunks_applied, seen.chunks_undone, seen.chunk_rows) == (10, 0, 25)
    target.lag = 1.0
    await clock.sleep(2)
    assert (await looking.look(RUN)).throttle_reason == ""


async def test_it_asks_at_most_once_a_second():
    """Ten people who watch must not be a load of their own."""
    target = Target()
    looking, clock = onlooker(target)
    for _ in range(8):
        await looking.look(RUN)
        await clock.sleep(0.5)
    assert target.asked == 4


async def test_it_measures_a_rollback_by_what_is_undone():
    """Rows read stand still by then: pace and time left come from the chunks taken back."""
    target = Target()
    looking, clock = onlooker(target)
    await looking.look(RUN)
    rolling = replace(RUN, state=RunState.ROLLING_BACK)
    for undone in range(6):
        target.undone = undone
        seen = await looking.look(rolling)
        await clock.sleep(1)
    assert (seen.chunks_undone, seen.chunks_applied) == (5, 10)
    assert seen.rate == 10.0
    assert seen.eta is not None
    assert seen.eta.low <= timedelta(seconds=5) <= seen.eta.high


async def test_a_target_that_does_not_answer_for_a_moment_ends_nothing():
    """What was known stays on the screen."""
    target = Target()
    looking, clock = onlooker(target)
    await looking.look(RUN)
    target.away = True
    await clock.sleep(2)
    assert (await looking.look(RUN)).chunks_applied == 10
