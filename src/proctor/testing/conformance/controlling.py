"""What a run's own record means in any store: who holds it, how it moves, how it goes on."""

from __future__ import annotations

import json

from datetime import timedelta

import pytest

from proctor.errors import Fenced, HeldError, IllegalMove, PlanVoid, RunActive, UsageError
from proctor.model import ChunkState, Outcome, RunState, Tuning
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    ALICE,
    BOB,
    LEASE,
    OVER,
    add_items,
    begin,
    books,
    claim,
    claim_one,
    filled,
    finish,
    items_spec,
    make_items,
    process,
    roll_back,
    work,
)
from proctor.testing.conformance.harness import Harness


class Controlling:
    """One run at a time on a field, taken over only from the dead, and always resumable."""

    async def test_a_field_has_one_active_run(self, harness: Harness, store: Store) -> None:
        """Whoever starts it from wherever: the refusal says who holds it and since when."""
        await make_items(harness, [1])
        other = await harness.store()
        await begin(store, items_spec())
        with pytest.raises(RunActive, match="run-1") as caught:
            await begin(other, items_spec(), run="run-2", holder=BOB)
        assert "alice" in str(caught.value)
        assert isinstance(caught.value, HeldError)
        assert [r.id for r in await other.runs()] == ["run-1"]

    @pytest.mark.parametrize("fills", [("note", "normal"), ("normal", "note")])
    async def test_overlapping_fills_are_refused(
        self, harness: Harness, store: Store, fills: tuple[str, ...]
    ) -> None:
        """One shared field is enough."""
        await make_items(harness, [1])
        await begin(store, items_spec())
        with pytest.raises(RunActive):
            await begin(store, items_spec(backfill="other", fills=fills), run="run-2")

    async def test_a_field_and_a_path_inside_it_overlap(
        self, harness: Harness, store: Store
    ) -> None:
        """A document is not filled while somebody fills a field of it."""
        await harness.sql(
            f"CREATE TABLE docs (id INTEGER PRIMARY KEY, style TEXT, doc {harness.json_type})"
        )
        await begin(store, items_spec(source="docs", fills=("doc.a",)))
        for fills in (("doc",), ("doc.a.b",), ("doc.a",)):
            with pytest.raises(RunActive):
                await begin(store, items_spec(source="docs", fills=fills), run="run-2")
        run = await begin(store, items_spec(source="docs", fills=("doc.ab",)), run="run-3")
        assert run.state is RunState.RUNNING

    async def test_other_fields_of_the_same_rows_may_be_filled_at_once(
        self, harness: Harness, store: Store
    ) -> None:
        """Two runs that write different fields do not lose each other's writes."""
        await make_items(harness, range(1, 8))
        one, two = items_spec(), items_spec(backfill="note", fills=("note",))
        first = await begin(store, one)
        second = await begin(store, two, run="run-2")
        mine = await claim_one(store, first, one)
        page = await store.read(one, mine)
        await work(store, second, two)
        assert len(page.keys) == 7
        lease = (await process(store, one, mine)).retry
        while lease is not None:
            lease = (await process(store, one, lease)).retry
        assert await books(store, first) == Outcome(read=7, written=7)
        assert await harness.fetch("SELECT count(*) FROM items WHERE normal = note") == [(7,)]

    @pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.CANCELLED])
    async def test_an_ended_run_makes_room(
        self, harness: Harness, store: Store, state: RunState
    ) -> None:
        """Finished and cancelled runs hold nothing."""
        await make_items(harness, [1])
        await begin(store, items_spec())
        if state is RunState.CANCELLED:
            await store.move("run-1", RunState.CANCELLING, among=[RunState.RUNNING])
            await store.move("run-1", state, among=[RunState.CANCELLING])
        else:
            await store.move("run-1", state, among=[RunState.RUNNING])
        run = await begin(store, items_spec(), run="run-2")
        assert (run.id, run.state, run.epoch) == ("run-2", RunState.RUNNING, 1)

    async def test_a_live_run_is_not_taken_over(self, harness: Harness, store: Store) -> None:
        """Its lease is still in force and nobody knows its process to be dead."""
        await make_items(harness, [1])
        await begin(store, items_spec())
        with pytest.raises(RunActive, match="alice"):
            await begin(store, items_spec(), holder=BOB, resume=True)
        assert (await store.run("run-1")).holder == ALICE

    @pytest.mark.parametrize("known", [False, True], ids=["lease over", "known to be dead"])
    async def test_a_dead_run_is_taken_over_where_it_stopped(
        self, harness: Harness, store: Store, known: bool
    ) -> None:
        """The new holder's epoch is higher; the old one is granted nothing any more."""
        await make_items(harness, range(1, 10))
        spec = items_spec()
        old = await begin(store, spec, lease_for=LEASE if known else OVER)
        assert (await store.run(old.id)).interrupted is not known
        await process(store, spec, await claim_one(store, old, spec, rows=3))
        held = await claim_one(store, old, spec, rows=3)
        run = await begin(store, spec, holder=BOB, resume=True, dead=known)
        assert (run.id, run.holder, run.state) == (old.id, BOB, RunState.RUNNING)
        assert run.epoch > old.epoch
        assert not run.interrupted
        for question in (claim(store, old, spec), store.beat(old, ["worker-1"], LEASE)):
            with pytest.raises(Fenced):
                await question
        with pytest.raises(Fenced):
            await store.reclaim(held, LEASE)
        assert await work(store, run, spec, rows=3) == Outcome(read=9, written=9)

    @pytest.mark.parametrize("state", [RunState.PAUSED, RunState.FAILED])
    async def test_a_stopped_run_goes_on_where_it_stopped(
        self, harness: Harness, store: Store, state: RunState
    ) -> None:
        """Also what was claimed when it stopped is done in the end."""
        await make_items(harness, range(1, 8))
        spec = items_spec()
        run = await begin(store, spec)
        await process(store, spec, await claim_one(store, run, spec, rows=2))
        await claim_one(store, run, spec, rows=2)
        if state is RunState.PAUSED:
            await store.move(run.id, RunState.PAUSING, among=[RunState.RUNNING])
            await store.move(run.id, state, among=[RunState.PAUSING], reason="lunch")
        else:
            await store.move(run.id, state, among=[RunState.RUNNING], reason="broke")
        stopped = await store.run(run.id)
        assert (stopped.state, stopped.interrupted) == (state, False)
        run = await begin(store, spec, resume=True)
        assert run.reason == ""
        assert await work(store, run, spec, rows=2) == Outcome(read=7, written=7)
        await finish(store, run)
        assert not [c for c in await store.chunks(run.id) if c.state is ChunkState.CLOSED]

    async def test_an_ended_run_is_not_resumed(self, harness: Harness, store: Store) -> None:
        """Succeeded is an end."""
        await make_items(harness, [1])
        run = await filled(store, items_spec())
        with pytest.raises(IllegalMove):
            await begin(store, items_spec(), run=run.id, resume=True)

    async def test_another_digest_must_be_accepted(self, harness: Harness, store: Store) -> None:
        """What was approved is what runs, unless a difference was accepted on record."""
        await make_items(harness, [1])
        changed = '{"parts":{"code":"2"}}'
        await begin(store, items_spec())
        await store.move("run-1", RunState.FAILED, among=[RunState.RUNNING])
        with pytest.raises(PlanVoid):
            await begin(store, items_spec(), resume=True, digest=changed)
        assert (await store.run("run-1")).state is RunState.FAILED
        mended = items_spec(missing="normal IS NULL AND id > 0", params=(("share", 2),))
        run = await begin(store, mended, resume=True, digest=changed, accept=("code",))
        assert run.digest == changed
        # Whatever looks at the run from here on sees what goes on, not what was mended.
        assert await store.spec_of(run.id) == mended
        assert json.loads((await store.run(run.id)).params) == {"share": 2}

    async def test_a_run_moves_only_from_the_states_named(
        self, harness: Harness, store: Store
    ) -> None:
        """Two operators at once: the second is told how it stands."""
        await make_items(harness, [1])
        run = await begin(store, items_spec())
        paused = await store.move(
            run.id, RunState.PAUSING, among=[RunState.RUNNING], reason="alice asked"
        )
        assert (paused.state, paused.reason) == (RunState.PAUSING, "alice asked")
        with pytest.raises(IllegalMove, match="pausing"):
            await store.move(run.id, RunState.PAUSING, among=[RunState.RUNNING])
        with pytest.raises(UsageError):
            await store.move("nobody", RunState.PAUSING, among=[RunState.RUNNING])

    async def test_a_holder_of_the_past_moves_nothing(self, harness: Harness, store: Store) -> None:
        """With an epoch given, only its holder may move the run; nor has it a sweep to begin."""
        await make_items(harness, [1])
        old = await begin(store, items_spec())
        await begin(store, items_spec(), holder=BOB, resume=True, dead=True)
        with pytest.raises(Fenced):
            await store.sweep(old, items_spec(), 1, 10)
        with pytest.raises(Fenced):
            await store.move(old.id, RunState.SUCCEEDED, among=[RunState.RUNNING], epoch=old.epoch)
        assert (await store.run(old.id)).state is RunState.RUNNING

    async def test_a_holder_of_the_past_keeps_no_count(
        self, harness: Harness, store: Store
    ) -> None:
        """It may have counted before the new one worked; it is answered, and no more."""
        await make_items(harness, [1, 3])
        spec = items_spec()
        old = await begin(store, spec)
        run = await begin(store, spec, holder=BOB, resume=True, dead=True)
        assert dict(await store.tally(old, spec)) == {"arrived": 2}
        assert (await store.run(old.id)).still_eligible is None
        await work(store, run, spec)
        await store.tally(run, spec)
        await add_items(harness, [2])
        assert dict(await store.tally(old, spec)) == {"arrived": 1}
        assert (await store.run(old.id)).still_eligible == {}

    async def test_a_beat_brings_back_what_operators_asked(
        self, harness: Harness, store: Store
    ) -> None:
        """Knobs, states and totals travel to the holder with its heartbeat."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec, lease_for=OVER)
        other = await harness.store()
        knobs = Tuning(chunk_rows=7, workers=3, pause=timedelta(seconds=1.5), rows_per_second=9.5)
        assert (await other.tune(run.id, knobs)).tuning == knobs
        await work(other, run, spec)
        await other.move(run.id, RunState.CANCELLING, among=[RunState.RUNNING], reason="enough")
        now = await store.beat(run, [], LEASE)
        assert now.tuning == knobs
        assert (now.state, now.reason) == (RunState.CANCELLING, "enough")
        assert now.outcome == Outcome(read=2, written=2)
        assert not now.interrupted

    async def test_a_run_is_being_undone_by_one_at_a_time(
        self, harness: Harness, store: Store
    ) -> None:
        """A run that is rolled back keeps new ones off its fields until it is done."""
        await make_items(harness, [1])
        run = await roll_back(store, await filled(store, items_spec()))
        with pytest.raises(RunActive):
            await begin(store, items_spec(), run="run-2")
        await store.move(run.id, RunState.ROLLED_BACK, among=[RunState.ROLLING_BACK])
        await begin(store, items_spec(), run="run-2")
