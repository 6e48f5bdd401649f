"""What claims, leases and fences mean in any store."""

from __future__ import annotations

import pytest

from proctor.errors import Fenced
from proctor.model import ChunkState, Key, KeyPart, Outcome, RunState, Span
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    BOB,
    LEASE,
    OVER,
    TERMS,
    add_items,
    answered,
    begin,
    books,
    claim,
    claim_one,
    finish,
    items_spec,
    make_items,
    process,
    roll_back,
    work,
)
from proctor.testing.conformance.harness import Harness

PAIRS = "CREATE TABLE pairs (a TEXT, b INTEGER, style TEXT, normal TEXT, PRIMARY KEY (a, b))"


class Claiming:
    """Chunks tile the key space, are held by one worker, and end with their run."""

    async def test_every_key_is_read_once_and_in_order(
        self, harness: Harness, store: Store
    ) -> None:
        """Chunks tile a sparse key space: nothing twice, nothing left out."""
        ids = [-7, 0, 1, 2, 40, 41, 1000, 2_000_000_000]
        await make_items(harness, sorted(ids))
        run = await begin(store, items_spec())
        seen: list[Key] = []
        while leases := await claim(store, run, items_spec(), count=2, rows=3):
            for lease in leases:
                seen += (await store.read(items_spec(), lease)).keys
                await process(store, items_spec(), lease)
        assert seen == [(i,) for i in sorted(ids)]
        assert await books(store, run) == Outcome(read=8, written=8)

    @pytest.mark.parametrize("descending", [(0, 0), (1, 1), (0, 1), (1, 0)], ids=str)
    async def test_composite_keys_are_scanned_in_their_own_directions(
        self, harness: Harness, store: Store, descending: tuple[int, int]
    ) -> None:
        """Text and number, up and down, in every mix: each row once and in scan order."""
        await harness.sql(PAIRS)
        pairs = [(a, b) for a in ("x", "y", "yy", "z") for b in (1, 2, 3)]
        values = ", ".join(f"('{a}', {b}, 'S')" for a, b in pairs)
        await harness.sql(f"INSERT INTO pairs (a, b, style) VALUES {values}")
        key = tuple(
            KeyPart(column=c, descending=bool(d)) for c, d in zip("ab", descending, strict=True)
        )
        spec = items_spec(source="pairs", key=key)
        run = await begin(store, spec)
        seen: list[Key] = []
        while leases := await claim(store, run, spec, rows=5):
            page = await store.read(spec, leases[0])
            seen += page.keys
            await store.apply(spec, leases[0], answered(page, spec), TERMS)
        pairs.sort(key=lambda p: p[1], reverse=bool(descending[1]))
        pairs.sort(key=lambda p: p[0], reverse=bool(descending[0]))
        assert seen == pairs
        assert await books(store, run) == Outcome(read=12, written=12)

    async def test_two_stores_never_hold_the_same_chunk(
        self, harness: Harness, store: Store
    ) -> None:
        """A claim is exclusive, whoever asks from wherever."""
        await make_items(harness, range(1, 31))
        other = await harness.store()
        spec = items_spec()
        run = await begin(store, spec)
        mine = await claim(store, run, spec, worker="a", count=2, rows=10)
        theirs = await claim(other, run, spec, worker="b", count=2, rows=10)
        numbers = [lease.chunk.number for lease in (*mine, *theirs)]
        assert len(numbers) == len(set(numbers)) == 3
        assert await claim(other, run, spec, worker="c", count=2, rows=10) == []

    async def test_rows_behind_the_last_key_are_not_this_runs(
        self, harness: Harness, store: Store
    ) -> None:
        """The target set is fixed at the start, so that a run under constant inserts ends."""
        await make_items(harness, [1, 2, 3])
        run = await begin(store, items_spec())
        await add_items(harness, [4, 5])
        assert await work(store, run, items_spec(), rows=2) == Outcome(read=3, written=3)

    async def test_a_span_is_claimed_with_both_its_ends(
        self, harness: Harness, store: Store
    ) -> None:
        """`start` and `stop` both belong to the span."""
        await make_items(harness, range(1, 10))
        run = await begin(store, items_spec(), span=Span(start=(3,), stop=(6,)))
        assert await work(store, run, items_spec(), rows=2) == Outcome(read=4, written=4)
        done = await harness.fetch("SELECT id FROM items WHERE normal IS NOT NULL ORDER BY id")
        assert [i for (i,) in done] == [3, 4, 5, 6]

    async def test_a_limit_is_exact(self, harness: Harness, store: Store) -> None:
        """Exactly so many rows are read, over rows that are not eligible, and in key order."""
        await make_items(harness, range(1, 31))
        await harness.sql("UPDATE items SET normal = 'old' WHERE id % 3 <> 0")
        run = await begin(store, items_spec(), span=Span(limit=5))
        assert run.expected == 5
        assert await work(store, run, items_spec(), rows=2) == Outcome(read=5, written=5)
        done = await harness.fetch("SELECT id FROM items WHERE normal LIKE 'style%' ORDER BY id")
        assert [i for (i,) in done] == [3, 6, 9, 12, 15]

    async def test_explicit_keys_are_the_whole_run(self, harness: Harness, store: Store) -> None:
        """Only those rows; keys that are not there, or not eligible, are counted as gone."""
        await make_items(harness, range(1, 10))
        await harness.sql("UPDATE items SET normal = 'old' WHERE id = 5")
        span = Span(keys=((7,), (5,), (2,), (99,)))
        run = await begin(store, items_spec(), span=span)
        assert await work(store, run, items_spec()) == Outcome(read=4, written=2, gone=2)
        done = await harness.fetch("SELECT id FROM items WHERE normal LIKE 'style%' ORDER BY id")
        assert [i for (i,) in done] == [2, 7]

    async def test_an_expired_lease_is_claimed_again_under_a_higher_fence(
        self, harness: Harness, store: Store
    ) -> None:
        """A worker that froze cannot write once its chunk has another owner."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        frozen = await claim_one(store, run, spec, worker="frozen", lease_for=OVER)
        page = await store.read(spec, frozen)
        fresh = await claim_one(store, run, spec, worker="fresh")
        assert fresh.chunk.number == frozen.chunk.number
        assert fresh.fence > frozen.fence
        with pytest.raises(Fenced):
            await store.apply(spec, frozen, answered(page, spec, lambda _row: "stale"), TERMS)
        await process(store, spec, fresh)
        with pytest.raises(Fenced):
            await store.apply(spec, frozen, answered(page, spec, lambda _row: "stale"), TERMS)
        assert await harness.fetch("SELECT count(*) FROM items WHERE normal = 'stale'") == [(0,)]

    async def test_a_lease_in_force_is_not_claimed_by_others(
        self, harness: Harness, store: Store
    ) -> None:
        """Only time or its worker ends a lease."""
        await make_items(harness, [1])
        run = await begin(store, items_spec())
        await claim_one(store, run, items_spec(), worker="a")
        assert await claim(store, run, items_spec(), worker="b") == []

    async def test_a_heartbeat_keeps_the_leases_of_its_workers(
        self, harness: Harness, store: Store
    ) -> None:
        """A slow chunk stays with its worker for as long as that worker beats."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        await claim(store, run, spec, worker="alive", rows=1, lease_for=OVER)
        await store.beat(run, ["alive"], LEASE)
        dead = await claim_one(store, run, spec, worker="dead", rows=1, lease_for=OVER)
        await store.beat(run, ["alive"], LEASE)
        again = await claim_one(store, run, spec, worker="third", count=5, rows=1)
        assert again.chunk.number == dead.chunk.number

    async def test_released_chunks_are_open_again(self, harness: Harness, store: Store) -> None:
        """Handing back unworked chunks costs nobody a wait."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        leases = await claim(store, run, spec, worker="a", count=2, rows=1)
        await store.release(leases)
        again = await claim(store, run, spec, worker="b", count=2, rows=1)
        assert {x.chunk.number for x in again} == {x.chunk.number for x in leases}
        with pytest.raises(Fenced):
            await process(store, spec, leases[0])

    async def test_doubt_is_settled_by_a_new_claim(self, harness: Harness, store: Store) -> None:
        """Reclaiming says None when the write took place, else gives a newer fence."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        first, second = await claim(store, run, spec, count=2, rows=1)
        await process(store, spec, first)
        assert await store.reclaim(first, LEASE) is None
        again = await store.reclaim(second, LEASE)
        assert again is not None
        assert again.chunk == second.chunk
        assert again.fence > second.fence
        with pytest.raises(Fenced):
            await process(store, spec, second)
        await process(store, spec, again)
        assert await books(store, run) == Outcome(read=2, written=2)

    async def test_a_chunk_that_somebody_else_holds_cannot_be_reclaimed(
        self, harness: Harness, store: Store
    ) -> None:
        """Reclaiming takes nothing from a newer owner."""
        await make_items(harness, [1])
        run = await begin(store, items_spec())
        old = await claim_one(store, run, items_spec(), worker="a", lease_for=OVER)
        await claim_one(store, run, items_spec(), worker="b")
        with pytest.raises(Fenced):
            await store.reclaim(old, LEASE)

    async def test_a_lease_of_the_past_neither_opens_nor_cuts_the_chunk(
        self, harness: Harness, store: Store
    ) -> None:
        """Whoever was too slow takes nothing from the one who has the chunk now."""
        await make_items(harness, range(4))
        spec = items_spec()
        run = await begin(store, spec)
        old = await claim_one(store, run, spec, lease_for=OVER)
        new = await claim_one(store, run, spec, worker="worker-2")
        await store.release([old])
        with pytest.raises(Fenced):
            await store.split(old, None)
        (held,) = await store.chunks(run.id)
        assert (held.state, held.worker, held.fence) == (ChunkState.CLAIMED, "worker-2", new.fence)

    @pytest.mark.parametrize("with_page", [True, False])
    async def test_a_slow_chunk_is_cut_in_two(
        self, harness: Harness, store: Store, with_page: bool
    ) -> None:
        """The halves cover the parent exactly, and the old lease is worth nothing."""
        await make_items(harness, range(1, 10))
        spec = items_spec()
        run = await begin(store, spec)
        parent = await claim_one(store, run, spec)
        page = await store.read(spec, parent)
        await store.split(parent, page if with_page else None)
        with pytest.raises(Fenced):
            await store.apply(spec, parent, answered(page, spec), TERMS)
        halves = await claim(store, run, spec, count=5)
        assert len(halves) == 2
        read = [(await store.read(spec, half)).keys for half in halves]
        assert all(read)
        assert [k for keys in read for k in keys] == list(page.keys)
        for half in halves:
            await process(store, spec, half)
        states = {c.chunk.number: c.state for c in await store.chunks(run.id)}
        assert states[parent.chunk.number] is ChunkState.SPLIT
        assert await books(store, run) == Outcome(read=9, written=9)

    async def test_a_chunk_of_explicit_keys_can_be_cut_too(
        self, harness: Harness, store: Store
    ) -> None:
        """Both halves keep their keys and nothing between them."""
        await make_items(harness, range(1, 10))
        spec = items_spec()
        run = await begin(store, spec, span=Span(keys=((1,), (4,), (8,))))
        await store.split(await claim_one(store, run, spec), None)
        assert await work(store, run, spec) == Outcome(read=3, written=3)

    @pytest.mark.parametrize("end", ["cancel", "fail", "succeed", "roll back", "take over"])
    async def test_no_write_follows_the_end_of_a_run(
        self, harness: Harness, store: Store, end: str
    ) -> None:
        """A worker that wakes up after its run ended, or changed hands, writes nothing."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec, lease_for=OVER)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        if end == "take over":
            await begin(store, spec, holder=BOB, resume=True)
        elif end == "succeed":
            await finish(store, run)
        elif end == "fail":
            await store.move(run.id, RunState.FAILED, among=[RunState.RUNNING])
        else:
            await store.move(run.id, RunState.CANCELLING, among=[RunState.RUNNING])
            await store.move(run.id, RunState.CANCELLED, among=[RunState.CANCELLING])
            if end == "roll back":
                await roll_back(store, run)
        with pytest.raises(Fenced):
            await store.apply(spec, lease, answered(page, spec), TERMS)
        with pytest.raises(Fenced):
            await claim(store, run, spec)
        assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]

    async def test_a_paused_run_grants_no_claim_but_takes_what_is_in_hand(
        self, harness: Harness, store: Store
    ) -> None:
        """Pausing waits for the chunk in hand instead of throwing its work away."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec, rows=1)
        await store.move(run.id, RunState.PAUSING, among=[RunState.RUNNING], reason="asked")
        with pytest.raises(Fenced):
            await claim(store, run, spec)
        await process(store, spec, lease)
        assert await books(store, run) == Outcome(read=1, written=1)
