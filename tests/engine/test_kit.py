"""The books that a worker knows, counted once."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from proctor.adapters.ledger import MemoryLedger
from proctor.core.sizing import Sizing, fitted
from proctor.engine.events import Events
from proctor.engine.kit import Kit, Stop
from proctor.engine.pacing import Pacing
from proctor.model import Outcome, Run, RunState, Span, Spec
from proctor.ports import Terms
from proctor.testing.clock import FakeClock

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def books(read):
    return Outcome(read=read, written=read)


@pytest.fixture
def kit():
    clock = FakeClock(START)
    run = Run(
        id="r",
        backfill="b",
        version="1",
        env="local",
        target="t",
        fills=("f",),
        state=RunState.RUNNING,
        epoch=1,
        span=Span(),
        digest="{}",
        params="{}",
        created=START,
        outcome=books(100),
    )
    return Kit(
        store=None,
        backfill=None,
        spec=Spec(backfill="b", version="1", kind="table", source="t", key=(), fills=("f",)),
        run=run,
        params=None,
        terms=Terms(code="c"),
        pacing=Pacing(clock=clock, sizing=Sizing()),
        clock=clock,
        events=Events(ledger=MemoryLedger(), clock=clock, env="local", who="ann"),
        dice=lambda: 0.5,
        worker="1:host:7",
        lease_for=timedelta(seconds=30),
        began=books(100),
    )


def with_books(run, read):
    return SimpleNamespace(outcome=books(read), state=run.state)


def test_a_chunk_is_counted_once_whether_a_beat_saw_it_or_not(kit):
    """The beat may come between a commit and our own count, or after it."""
    kit.run = with_books(kit.run, 150)
    assert kit.seen.read == 150
    kit.mine += books(50)
    assert kit.seen.read == 150
    kit.mine += books(10)
    assert kit.seen.read == 160


def test_what_others_settled_counts_too(kit):
    kit.mine += books(10)
    kit.run = with_books(kit.run, 500)
    assert kit.seen.read == 500


def test_a_new_name_keeps_the_old_one_readable(kit):
    """Leases under the old name run out; the log still tells who it was."""
    kit.rename()
    kit.rename()
    assert kit.worker == "1:host:7+2"


def test_the_second_word_abandons():
    stop = Stop()
    assert (stop.ask("SIGINT received"), stop.ask("again"), stop.ask()) == (1, 2, 2)
    assert stop.reason == "SIGINT received"
    assert stop.heard.is_set()


def test_the_first_chunk_of_huge_rows_fits_into_memory():
    """Ten megabytes a row: one row a chunk, not five hundred."""
    assert fitted(Sizing(rows=500), 10_000_000).rows == 1
    assert fitted(Sizing(rows=500), 100).rows == 500
    assert fitted(Sizing(rows=500, cap_bytes=8_000_000), 80_000).rows == 100
    assert fitted(Sizing(rows=500), 0).rows == 500
