"""A process dies at every instant of a write whose progress is kept in the ledger."""

import json
import os
import signal
import subprocess
import sys

from datetime import timedelta
from pathlib import Path

import pytest

from adapters.stores.away_harness import AwayHarness, AwaySqliteHarness
from proctor.adapters.stores.away import runs
from proctor.adapters.stores.away.intents import WRITE, Intent
from proctor.adapters.stores.away.progress import Progress
from proctor.adapters.stores.away.settling import AwayBook
from proctor.errors import Busy, Fenced
from proctor.model import ChunkState, Outcome, RunState
from proctor.ports import Manners, UndoTerms
from proctor.testing.conformance.acting import (
    BOB,
    TERMS,
    begin,
    books,
    claim,
    claim_one,
    finish,
    items_spec,
    make_items,
    roll_back,
    work,
)

VICTIM = Path(__file__).with_name("away_victim.py")
VICTIMS = []
INSTANTS = ["intend", "commit", "done", "told"]
NOWHERE = "FFFFFFFF"
FAILED_OVER = 'UPDATE proctor_away_chunks SET intent = replace(intent, \'"timeline":"\', ?)'
SQL = {"sql": (("normal", "lower(style)"),)}


@pytest.fixture
async def postgres(pg, tmp_path):
    harness = AwayHarness(pg, f"sqlite:///{tmp_path / 'ledger.db'}")
    yield harness
    await harness.close()


@pytest.fixture
async def sqlite(tmp_path):
    harness = AwaySqliteHarness(tmp_path / "shop.db", f"sqlite:///{tmp_path / 'ledger.db'}")
    yield harness
    await harness.close()


@pytest.fixture(params=["postgres", "sqlite"])
def harness(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
async def store(harness):
    return await harness.store()


@pytest.fixture(autouse=True)
def victims():
    """Nobody is left standing still, also where a test fails."""
    VICTIMS.clear()
    yield
    for process in VICTIMS:
        process.kill()
        process.wait()


def victim(harness, act, instant, number=signal.SIGKILL):
    args = [harness.url, harness.ledger, act, instant, str(int(number))]
    VICTIMS.append(subprocess.Popen([sys.executable, str(VICTIM), *args]))
    return VICTIMS[-1]


def killed(harness, act, instant):
    """The victim has come to that instant and died of it."""
    process = victim(harness, act, instant)
    assert process.wait(timeout=60) == -signal.SIGKILL


def stopped(harness, act, instant):
    """The victim has come to that instant and stands still."""
    process = victim(harness, act, instant, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    return process


async def filled_once(harness):
    """Every row holds its value, and none was written twice."""
    assert await harness.fetch("SELECT count(*) FROM items WHERE normal <> lower(style)") == [(0,)]
    assert await harness.fetch("SELECT count(normal), count(*) FROM items") == [(12, 12)]
    assert await harness.fetch("SELECT count(*) FROM write_log") == [(12,)]


async def twelve(harness):
    await make_items(harness, range(1, 13))
    await harness.log_writes("items")


@pytest.mark.parametrize("act", ["apply", "sql"])
@pytest.mark.parametrize("instant", INSTANTS)
async def test_each_row_is_written_once_whenever_the_worker_dies(harness, store, act, instant):
    """P1, P2 and P3: resume, and the books, the rows and the undo are those of a quiet run."""
    await twelve(harness)
    spec = items_spec(**(SQL if act == "sql" else {}))
    await begin(store, spec)
    killed(harness, act, instant)
    run = await begin(store, spec, holder=BOB, resume=True, dead=True)
    if act == "sql":
        while leases := await claim(store, run, spec, rows=5):
            for lease in leases:
                await store.apply_sql(spec, lease, TERMS)
        assert await books(store, run) == Outcome(read=12, written=12)
    else:
        assert await work(store, run, spec) == Outcome(read=12, written=12)
    await filled_once(harness)
    await finish(store, run)
    await roll_back(store, run)
    undone = [
        await store.undo(run, c.chunk.number, UndoTerms()) for c in await store.chunks(run.id)
    ]
    assert sum(u.restored for u in undone) == 12
    assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]


@pytest.mark.parametrize("instant", INSTANTS)
async def test_an_undo_is_done_once_whenever_its_process_dies(harness, store, instant):
    """Asked again it restores what is not restored yet, and calls nothing changed by others."""
    await twelve(harness)
    run = await begin(store, items_spec())
    await work(store, run, items_spec(), rows=20)
    await finish(store, run)
    await roll_back(store, run)
    killed(harness, "undo", instant)
    again = await store.undo(run, 1, UndoTerms())
    assert (again.changed, again.restored) == (0, 12 if instant in ("intend", "commit") else 0)
    assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]
    assert await harness.fetch("SELECT count(*) FROM write_log") == [(24,)]


async def doubtful(harness, store, instant, *, xid=None):
    """A dead worker's intent, of which the server can tell nothing, or something wrong."""
    await twelve(harness)
    await begin(store, items_spec())
    killed(harness, "apply", instant)
    ((text,),) = await harness.ask("SELECT intent FROM proctor_away_chunks WHERE number = 1")
    intent = json.loads(text)
    if xid is None:
        intent["witness"]["timeline"] = NOWHERE
    else:
        intent["witness"]["xid"] = xid
    harness.tell("UPDATE proctor_away_chunks SET intent = ? WHERE number = 1", json.dumps(intent))
    return await begin(store, items_spec(), holder=BOB, resume=True, dead=True)


@pytest.mark.parametrize("instant", ["commit", "done"])
async def test_after_a_failover_the_images_tell(postgres, instant):
    """Ids of transactions mean nothing on another timeline: what stands decides."""
    store = await postgres.store()
    run = await doubtful(postgres, store, instant)
    assert await work(store, run, items_spec()) == Outcome(read=12, written=12)
    await filled_once(postgres)


async def test_rows_that_others_changed_before_it_was_settled_are_read_again(harness, store):
    """By images alone nobody can say who wrote last: such a row is computed from what it holds."""
    await twelve(harness)
    await begin(store, items_spec())
    killed(harness, "apply", "done")
    harness.tell(
        'UPDATE proctor_away_chunks SET intent = replace(intent, \'"timeline":"\', ?)',
        '"timeline":"F',
    )
    await harness.sql(
        "UPDATE items SET normal = NULL, style = 'New' WHERE id = 2",
        "UPDATE items SET normal = 'theirs' WHERE id = 3",
        "DELETE FROM items WHERE id = 4",
    )
    run = await begin(store, items_spec(), holder=BOB, resume=True, dead=True)
    assert await work(store, run, items_spec()) == Outcome(read=12, written=10, gone=2)
    assert await harness.fetch("SELECT normal FROM items WHERE id IN (2, 3) ORDER BY id") == [
        ("new",),
        ("theirs",),
    ]


async def test_an_id_that_a_crashed_server_gave_out_again_is_not_believed(postgres):
    """Committed says the server, of somebody else's transaction: no row holds what was written."""
    store = await postgres.store()
    await postgres.sql("CREATE TABLE other (id INTEGER)")
    ((theirs,),) = await postgres.fetch("SELECT txid_current()::text")
    run = await doubtful(postgres, store, "commit", xid=theirs)
    assert await work(store, run, items_spec()) == Outcome(read=12, written=12)
    await filled_once(postgres)


async def test_an_id_that_was_never_given_out_is_unknown(postgres):
    """A restore to a point in time: the server has not come to that id yet."""
    store = await postgres.store()
    run = await doubtful(postgres, store, "commit", xid=str(10**9))
    assert await work(store, run, items_spec()) == Outcome(read=12, written=12)
    await filled_once(postgres)


async def test_a_write_on_its_way_is_waited_for_and_counted(harness, store):
    """Neither a claim nor a cancel passes a transaction that may still commit."""
    await twelve(harness)
    run = await begin(store, items_spec())
    process = stopped(harness, "apply", "commit")
    short = timedelta(milliseconds=300)
    hasty = await harness.store(manners=Manners(statement_timeout=short, idle_timeout=short))
    with pytest.raises(Busy):
        await hasty.move(run.id, RunState.CANCELLING, among=[RunState.RUNNING])
    assert (await store.chunks(run.id))[0].state is ChunkState.CLAIMED
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=60) == 0
    moved = await store.move(run.id, RunState.CANCELLED, among=[RunState.CANCELLING])
    assert moved.outcome == Outcome(read=5, written=5)
    assert await harness.fetch("SELECT count(normal) FROM items") == [(5,)]


async def test_a_worker_that_wakes_after_its_chunk_was_taken_writes_nothing(harness, store):
    """The fence is asked for again with the intent, before anything commits."""
    await twelve(harness)
    run = await begin(store, items_spec())
    process = stopped(harness, "apply", "intend")
    again = await begin(store, items_spec(), holder=BOB, resume=True, dead=True)
    lease = await claim_one(store, again, items_spec())
    page = await store.read(items_spec(), lease)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=60) == 1
    assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]
    assert len(page.keys) == 5
    await store.release([lease])
    assert await work(store, again, items_spec()) == Outcome(read=12, written=12)
    await filled_once(harness)
    assert run.epoch < again.epoch


async def test_a_chunk_in_doubt_in_a_run_that_ended_is_settled_with_it(harness, store):
    """Written, killed, cancelled: the rows are in the books, and the rollback takes them back."""
    await twelve(harness)
    run = await begin(store, items_spec())
    killed(harness, "apply", "done")
    await store.move(run.id, RunState.CANCELLING, among=[RunState.RUNNING])
    await store.move(run.id, RunState.CANCELLED, among=[RunState.CANCELLING])
    assert await books(store, run) == Outcome(read=5, written=5)
    await roll_back(store, run)
    assert (await store.undo(run, 1, UndoTerms())).restored == 5
    assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]


async def test_a_chunk_whose_write_was_lost_closes_with_its_run(harness, store):
    """Killed before COMMIT, then cancelled: nothing is written and nothing can be claimed."""
    await twelve(harness)
    run = await begin(store, items_spec())
    killed(harness, "apply", "commit")
    await store.move(run.id, RunState.CANCELLING, among=[RunState.RUNNING])
    assert [c.state for c in await store.chunks(run.id)] == [ChunkState.CLOSED]
    assert await books(store, run) == Outcome()
    with pytest.raises(Fenced):
        await claim_one(store, run, items_spec())


async def test_the_moved_rows_of_a_write_end_with_a_run_that_ended_meanwhile(sqlite):
    """Cancelled between COMMIT and done: nobody is given a lease any more."""
    store = await sqlite.store()
    await twelve(sqlite)
    run = await begin(store, items_spec())
    lease = await claim_one(store, run, items_spec(), rows=5)
    progress = await Progress.connect(sqlite.ledger, "test shop.db")
    book, counted = AwayBook(progress), Outcome(read=4, unchanged=4)
    intent = Intent(kind=WRITE, witness={}, outcome=counted, retried=((2,),))
    await book.intend(lease, intent)
    then, among = RunState.CANCELLING, [RunState.RUNNING]
    await progress.write(
        lambda c: runs.move(c, progress.home, run.id, then, among=among, reason="", epoch=None)
    )
    assert await book.done(run.id, 1, intent) is None
    states = [c.state for c in await store.chunks(run.id)]
    assert states == [ChunkState.APPLIED, ChunkState.CLOSED]
    await progress.aclose()


async def test_the_worker_itself_settles_what_it_could_not_tell(harness, store):
    """Reclaiming after doubt: None where it committed, else a newer fence."""
    await twelve(harness)
    run = await begin(store, items_spec())
    lease = await claim_one(store, run, items_spec(), rows=5)
    again = await store.reclaim(lease, TERMS.lease_for)
    assert again is not None
    assert again.fence > lease.fence


async def test_keys_are_typed_as_the_data_has_them(harness):
    """Text that looks like a number stays text, for a store that knows the run alone."""
    await harness.sql("CREATE TABLE items (id TEXT PRIMARY KEY NOT NULL, style TEXT, normal TEXT)")
    await harness.sql("INSERT INTO items VALUES ('007', 'Bond', NULL)")
    store = await harness.store()
    await begin(store, items_spec())
    other = await harness.store()
    assert other.parse_key(await other.spec_of("run-1"), "007") == ("007",)
