"""The rules of a rollback: what may be undone, in which order, how often it is tried."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from proctor.adapters.ledger import MemoryLedger
from proctor.core.lifecycle import ACTIVE
from proctor.core.retry import DEFAULT
from proctor.core.sizing import Sizing
from proctor.engine.events import Events
from proctor.engine.overlaid import refuse_if_overlaid
from proctor.engine.pacing import Pacing
from proctor.engine.undo import (
    BEFORE_ROLLBACK,
    Undoer,
    first_of,
    undoable,
    verify_written,
)
from proctor.errors import Busy, Denied, HeldError, IllegalMove, InDoubt, TargetError, TooSlow
from proctor.model import (
    Bucket,
    Chunk,
    ChunkRecord,
    ChunkState,
    Health,
    Issue,
    Outcome,
    Run,
    RunState,
    Signal,
    Span,
    Tuning,
    Undone,
)
from proctor.ports import UndoTerms
from proctor.testing.clock import FakeClock

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def run(name="r1", state=RunState.SUCCEEDED, **extra):
    values = {
        "backfill": "normalize",
        "version": "1.0",
        "env": "local",
        "target": "wardrobe",
        "fills": ("normalized",),
        "place": "public.wardrobe",
        "writes": ("normalized", "stamp"),
        "epoch": 1,
        "span": Span(),
        "digest": "{}",
        "params": "{}",
        "created": START,
        "outcome": Outcome(read=100, written=100),
    }
    return Run(id=name, state=state, **(values | extra))


def record(number, state=ChunkState.APPLIED, **extra):
    return ChunkRecord(
        chunk=Chunk(run="r1", number=number, after=None, upto=(number,)),
        state=state,
        fence=1,
        worker="w",
        outcome=Outcome(read=10, written=10),
        code="c",
        applied=START,
        took=timedelta(seconds=0.1),
        **extra,
    )


@dataclass
class Shelf:
    """Runs and chunks in memory, newest first, as a store remembers them for a rollback."""

    kept: list[Run]
    records: list[ChunkRecord] = field(default_factory=list)
    fails: dict[int, list[Exception]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    wrote: list[RunState] = field(default_factory=list)
    signals: tuple[Signal, ...] = ()
    beats: int = 0
    alone: dict[int, tuple[Issue, ...]] = field(default_factory=dict)
    deaf: set[int] = field(default_factory=set)
    """Chunks of whose undo the COMMIT takes place and the reply is lost."""

    async def runs(self):
        return self.kept

    async def run(self, name):
        return next(r for r in self.kept if r.id == name)

    async def chunks(self, _name):
        return list(self.records)

    async def move(self, name, then, *, among, reason=""):
        i = next(i for i, r in enumerate(self.kept) if r.id == name)
        if self.kept[i].state not in among:
            raise IllegalMove(f"run {name} cannot become {then}")
        self.kept[i] = replace(self.kept[i], state=then, reason=reason)
        self.wrote.append(then)
        return self.kept[i]

    async def undo(self, _run, number, terms, *, permit):
        await permit()
        self.asked.append(number)
        if self.fails.get(number):
            raise self.fails[number].pop(0)
        if not terms.dry_run:
            i = next(i for i, r in enumerate(self.records) if r.chunk.number == number)
            books = Undone(written=10, restored=9, changed=1)
            if self.records[i].undone:
                return Undone()
            self.records[i] = replace(self.records[i], undone=True, taken_back=books)
            if number in self.deaf:
                raise InDoubt("the reply to COMMIT was lost")
        return Undone(written=10, restored=9, changed=1, took=timedelta(seconds=0.1))

    async def left_alone(self, _run):
        return self.alone

    async def beat(self, found, _names, _lease):
        self.beats += 1
        if self.beats == 3:
            self.signals = ()
        return found

    async def health(self):
        return Health(at=START, signals=self.signals)

    async def verify(self, _run, number):
        self.asked.append(number)
        return Undone(written=10, restored=10)


def undoer(shelf, terms=None, *, lanes=1, **extra):
    clock = FakeClock(START)
    events = Events(ledger=MemoryLedger(), clock=clock, env="local", who="ann")
    return Undoer(
        store=shelf,
        run=shelf.kept[-1],
        terms=terms or UndoTerms(),
        events=events,
        clock=clock,
        pacing=Pacing(clock=clock, sizing=Sizing()),
        dice=lambda: 0.5,
        lanes=lanes,
        **extra,
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (record(1), True),
        (record(1, undone=True), False),
        (record(1, has_undo=False), False),
        *((record(1, state), False) for state in ChunkState if state is not ChunkState.APPLIED),
    ],
)
def test_only_what_was_written_and_not_taken_back_can_be_undone(found, expected):
    assert undoable(found) is expected


async def test_a_rollback_undoes_newest_first_and_balances():
    """Every applied chunk once; the books are the sum of the chunks."""
    shelf = Shelf([run()], [record(n) for n in (1, 2, 3)] + [record(4, ChunkState.CLOSED)])
    seen = []
    done = await undoer(
        shelf, on=lambda s: seen.append((s.undone.written, s.chunks_undone, s.chunks))
    ).rollback()
    assert shelf.asked == [3, 2, 1]
    assert done.undone == Undone(written=30, restored=27, changed=3, took=timedelta(seconds=0.3))
    assert done.undone.balances
    assert done.chunks == 3
    assert done.run.state is RunState.ROLLED_BACK
    assert shelf.wrote == [RunState.ROLLING_BACK, RunState.ROLLED_BACK]
    assert list(dict.fromkeys(seen)) == [(0, 0, 3), (10, 1, 3), (20, 2, 3), (30, 3, 3)]


async def test_lanes_share_the_chunks():
    """Each chunk is undone by one of them."""
    shelf = Shelf([run()], [record(n) for n in range(1, 21)])
    done = await undoer(shelf, lanes=4).rollback()
    assert sorted(shelf.asked) == list(range(1, 21))
    assert done.undone.written == 200


async def test_a_rollback_that_was_interrupted_goes_on_with_the_rest():
    shelf = Shelf([run(state=RunState.ROLLING_BACK)], [record(1), record(2, undone=True)])
    done = await undoer(shelf).rollback()
    assert shelf.asked == [1]
    assert done.run.state is RunState.ROLLED_BACK


async def test_a_rollback_that_goes_on_answers_for_the_chunks_before_it():
    """P3: rows that it left alone before it was killed are listed and counted, not lost."""
    earlier = record(2, undone=True, taken_back=Undone(written=10, restored=8, changed=2))
    alone = tuple(Issue(key=(n,), bucket=Bucket.CONFLICTED, reason="theirs") for n in (15, 16))
    shelf = Shelf([run(state=RunState.ROLLING_BACK)], [record(1), earlier], alone={2: alone})
    for terms in (UndoTerms(dry_run=True), UndoTerms()):
        done = await undoer(shelf, terms).rollback()
        books = done.undone
        assert (books.written, books.restored, books.changed) == (20, 17, 3)
        assert books.left == alone
    assert done.chunks == 2
    assert done.run.reason == "rolled back; 3 of the 20 rows written were not restored"


async def test_rows_whose_reply_was_lost_are_counted_by_what_their_chunk_keeps():
    """P3: the COMMIT took place and nobody heard of it; asked again, nothing is left to do."""
    shelf = Shelf([run()], [record(1)], deaf={1})
    done = await undoer(shelf).rollback()
    assert shelf.asked == [1, 1]
    assert (done.undone.written, done.undone.restored, done.undone.changed) == (10, 9, 1)
    part = Shelf([run()], [record(1)], deaf={1})
    done = await undoer(part, UndoTerms(since=START)).rollback()
    assert (done.undone.written, done.undone.restored) == (9, 9)


async def test_what_was_pruned_is_told_and_the_run_is_not_called_rolled_back():
    """Rows whose before-images are gone stand in the books, as blocked."""
    shelf = Shelf([run()], [record(1, has_undo=False), record(2)])
    done = await undoer(shelf).rollback()
    assert shelf.asked == [2]
    assert done.undone.written == 20
    assert done.undone.blocked == 10
    assert done.undone.balances
    assert done.run.state is RunState.CANCELLED
    assert "10 rows had been pruned" in done.run.reason


async def test_a_rollback_keeps_its_heart_beating_and_heeds_the_throttle():
    """It waits while a signal is at its limit, as a run does."""
    full = Signal(name="lock_waiters", value=9.0, limit=5.0)
    shelf = Shelf([run()], [record(n) for n in (1, 2)], signals=(full,))
    undoing = undoer(shelf)
    await undoing.pacing.watch(await shelf.health())
    done = await undoing.rollback()
    assert shelf.beats >= 3
    assert done.undone.written == 20
    assert done.elapsed >= timedelta(seconds=2)


async def test_a_rollback_follows_the_knobs_of_its_run():
    """An operator slows it down while it goes on, as a run."""
    shelf = Shelf([run(tuning=Tuning(pause=timedelta(seconds=30)))], [record(n) for n in (1, 2)])
    undoing = undoer(shelf)
    done = await undoing.rollback()
    assert undoing.pacing.tuning.pause == timedelta(seconds=30)
    assert done.undone.written == 20
    assert done.elapsed >= timedelta(seconds=30)


async def test_the_waits_of_a_rollback_are_shown_and_told_once():
    """Whoever looks sees why nothing moves; the record has it once, not every second."""
    full = Signal(name="lock_waiters", value=9.0, limit=5.0)
    shelf = Shelf([run()], [record(1)], signals=(full,))
    seen = []
    undoing = undoer(shelf, on=seen.append)
    await undoing.pacing.watch(Health(at=START, signals=(full,)))
    undoing.pacing.cause = ""
    await undoing.rollback()
    waiting = [s for s in seen if s.throttle_reason]
    assert waiting[0].throttle_reason.startswith("lock_waiters is 9 of 5")
    assert waiting[0].throttle == (full,)
    assert waiting[0].chunks_undone == 0
    assert seen[-1].chunks_undone == 1
    await undoing.events.flush()
    told = await undoing.events.ledger.events(name="run.throttled")
    assert len(told) == 1


async def test_a_rollback_that_is_told_to_stop_goes_on_later():
    """The chunk in hand is finished; its row says why nobody works on it; nothing is done twice."""
    shelf = Shelf([run()], [record(n) for n in (1, 2, 3)])
    first = undoer(shelf)
    seen = []

    def stop(now):
        seen.append(now)
        if now.chunks_undone == 1 and not first.stop.level:
            first.stop.ask("SIGINT received")

    first.on = stop
    done = await first.rollback()
    assert done.interrupted
    assert (done.chunks, done.undone.written) == (1, 10)
    assert seen[-1].stopping == "SIGINT received"
    assert done.run.state is RunState.ROLLING_BACK
    assert done.run.reason == "SIGINT received: the same rollback goes on where it stopped"
    rest = await undoer(shelf).rollback()
    assert not rest.interrupted
    assert (rest.chunks, rest.undone.written) == (3, 30)
    assert shelf.asked == [3, 2, 1]
    assert rest.run.state is RunState.ROLLED_BACK


async def test_a_rollback_that_waits_can_be_stopped():
    """A signal at its limit must not keep Ctrl-C from being heard."""
    full = Signal(name="lock_waiters", value=9.0, limit=5.0)
    shelf = Shelf([run()], [record(1)], signals=(full,))
    undoing = undoer(shelf)
    await undoing.pacing.watch(await shelf.health())
    undoing.stop.ask("SIGTERM received")
    done = await undoing.rollback()
    assert done.interrupted
    assert shelf.asked == []


async def test_a_dry_run_moves_no_state():
    shelf = Shelf([run()], [record(1), record(2)])
    done = await undoer(shelf, UndoTerms(dry_run=True)).rollback()
    assert done.dry_run
    assert done.undone.written == 20
    assert shelf.wrote == []
    assert done.run.state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    "terms",
    [
        UndoTerms(span=Span(start=(5,))),
        UndoTerms(span=Span(stop=(5,))),
        UndoTerms(span=Span(keys=((5,),))),
        UndoTerms(since=START),
    ],
)
async def test_a_rollback_in_part_does_not_call_the_run_rolled_back(terms):
    """The rest is still written, and can still be taken back later."""
    shelf = Shelf([run()], [record(1)])
    done = await undoer(shelf, terms).rollback()
    assert done.run.state is RunState.CANCELLED
    assert RunState.CANCELLED in BEFORE_ROLLBACK


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.ROLLING_BACK])
async def test_a_run_that_had_succeeded_is_succeeded_again_after_a_part(state):
    """Also where the part was interrupted: only a run that came to its end knows what it left."""
    shelf = Shelf([run(state=state, still_eligible={"skipped": 0})], [record(1)])
    done = await undoer(shelf, UndoTerms(since=START)).rollback()
    assert done.run.state is RunState.SUCCEEDED
    assert done.run.reason.startswith("rolled back in part: ")


@pytest.mark.parametrize("state", sorted(set(RunState) - set(BEFORE_ROLLBACK)))
async def test_an_active_or_finished_rollback_is_refused(state):
    """Nothing is undone, and who must stop it first is told how."""
    shelf = Shelf([run(state=state)], [record(1)])
    with pytest.raises(IllegalMove) as caught:
        await undoer(shelf).rollback()
    assert shelf.asked == []
    assert shelf.wrote == []
    assert caught.value.found == f"it is {state.value}"
    assert ("proctor cancel r1" in caught.value.fix) is (state in ACTIVE)


async def test_what_is_busy_is_tried_again():
    """Undoing is idempotent: after a deadlock or in doubt it is asked for again."""
    shelf = Shelf([run()], [record(1)], fails={1: [Busy("deadlock"), Busy("deadlock")]})
    done = await undoer(shelf).rollback()
    assert shelf.asked == [1, 1, 1]
    assert done.undone.written == 10


@pytest.mark.parametrize("error", [Busy("deadlock"), TooSlow("time-out")])
async def test_what_never_works_ends(error):
    """The run stays in rolling_back, from where it goes on once the cause is mended."""
    shelf = Shelf([run()], [record(1)], fails={1: [error] * 100})
    with pytest.raises(type(error)):
        await undoer(shelf).rollback()
    assert len(shelf.asked) == DEFAULT.attempts
    assert shelf.wrote == [RunState.ROLLING_BACK]


async def test_an_error_of_several_lanes_is_told_as_one():
    """One person can act on one error at a time; never a group of them."""
    broken = {n: [TargetError("the table is gone")] for n in (1, 2, 3, 4)}
    shelf = Shelf([run()], [record(n) for n in (1, 2, 3, 4)], fails=broken)
    with pytest.raises(TargetError, match="the table is gone"):
        await undoer(shelf, lanes=4).rollback()


def test_the_first_of_nested_groups_is_found():
    inner = ExceptionGroup("inner", [Denied("no"), Busy("later")])
    assert first_of(ExceptionGroup("outer", [inner])).what == "no"


NEWER = run("r2")


@pytest.mark.parametrize(
    ("newer", "held"),
    [
        pytest.param(NEWER, True, id="same target and fills"),
        pytest.param(replace(NEWER, writes=("normalized", "size")), True, id="one field in common"),
        pytest.param(replace(NEWER, backfill="another"), True, id="of another backfill"),
        pytest.param(replace(NEWER, state=RunState.CANCELLED), True, id="cancelled half-way"),
        pytest.param(replace(NEWER, writes=("normalized.style",)), True, id="a place in it"),
        pytest.param(replace(NEWER, writes=("size", "stamp")), True, id="the same stamp"),
        pytest.param(replace(NEWER, writes=("size",)), False, id="other fields"),
        pytest.param(replace(NEWER, writes=("normalized_too",)), False, id="a longer name"),
        pytest.param(replace(NEWER, place="main.outfits"), False, id="another target"),
        pytest.param(replace(NEWER, state=RunState.ROLLED_BACK), False, id="rolled back"),
        pytest.param(replace(NEWER, outcome=Outcome()), False, id="wrote nothing"),
    ],
)
async def test_runs_that_overlap_are_undone_newest_first(newer, held):
    """An older run's before-images would overwrite what the newer one wrote."""
    older = run("r1")
    shelf = Shelf([newer, older], [record(1)])
    if not held:
        await refuse_if_overlaid(shelf, older)
        return
    with pytest.raises(HeldError) as caught:
        await undoer(shelf).rollback()
    assert caught.value.fix == "roll back the newest first: proctor rollback r2"
    assert shelf.asked == []
    assert shelf.wrote == []


async def test_an_older_run_is_no_obstacle():
    newest = run("r2")
    await refuse_if_overlaid(Shelf([newest, run("r1")]), newest)


async def test_verify_looks_at_every_chunk_that_stands():
    shelf = Shelf([run()], [record(1), record(2, undone=True), record(3)])
    seen = []
    total = await verify_written(
        shelf, shelf.kept[0], on=lambda _books, so_far, all_: seen.append((so_far, all_))
    )
    assert shelf.asked == [1, 3]
    assert total.written == total.restored == 20
    assert seen == [(1, 2), (2, 2)]


async def test_a_rollback_is_on_record():
    """Who, what it was before, and how the rows ended."""
    shelf = Shelf([run()], [record(1)])
    working = undoer(shelf, UndoTerms(span=Span(start=(1,), keys=((1,), (2,)))))
    await working.rollback()
    await working.events.flush()
    begun, ended = await working.events.ledger.events()
    assert (begun.name, begun.who, begun.data["was"], begun.data["keys"]) == (
        "rollback.started",
        "ann",
        "succeeded",
        2,
    )
    assert ended.name == "rollback.finished"
    assert ended.data == {
        "whole": False,
        "written": 10,
        "restored": 9,
        "changed": 1,
        "gone": 0,
        "blocked": 0,
        "touched_undone": 0,
        "touched_left": 0,
    }
