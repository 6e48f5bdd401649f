"""How a run ends in any store: sweeps over what is unsettled, and an honest count of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proctor.model import Bucket, Issue, Outcome, Row
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    TERMS,
    add_items,
    answered,
    begin,
    books,
    claim,
    claim_one,
    items_spec,
    make_items,
    process,
    work,
)
from proctor.testing.conformance.harness import Harness


async def conflict(harness: Harness, store: Store, run: Any, spec: Any) -> None:
    """Work the whole run as one chunk while row 2 changes under every attempt."""
    lease = await claim_one(store, run, spec, rows=100)
    for attempt in range(TERMS.attempts):
        page = await store.read(spec, lease)
        await harness.sql(f"UPDATE items SET style = 'Edit {attempt}' WHERE id = 2")
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        if applied.retry is not None:
            lease = applied.retry


class Finishing:
    """A run ends though others go on writing, and says what it left."""

    async def test_a_sweep_takes_up_conflicted_rows_and_counts_them_once(
        self, harness: Harness, store: Store
    ) -> None:
        """A row that the sweep writes leaves the conflicted bucket and the list of issues."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        await conflict(harness, store, run, spec)
        assert await books(store, run) == Outcome(read=3, written=2, conflicted=1)
        assert await store.sweep(run, spec, 1, 10) == 1
        lease = await claim_one(store, run, spec)
        assert lease.chunk.keys == ((2,),)
        assert (lease.chunk.sweep, lease.chunk.revisited) == (1, 1)
        assert [i.key for i in await store.issues(run.id)] == [(2,)]
        await process(store, spec, lease)
        assert await books(store, run) == Outcome(read=3, written=3)
        assert await store.issues(run.id) == []
        assert (await store.run(run.id)).sweep == 1

    async def test_conflicted_rows_are_counted_once_where_their_sweep_is_cut_in_two(
        self, harness: Harness, store: Store
    ) -> None:
        """Each half knows which of its rows an earlier chunk had counted."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        await conflict(harness, store, run, spec)
        await add_items(harness, [0])
        assert await store.sweep(run, spec, 1, 10) == 2
        await store.split(await claim_one(store, run, spec), None)
        assert await work(store, run, spec) == Outcome(read=4, written=4)
        assert await store.issues(run.id) == []

    async def test_a_row_that_is_conflicted_again_is_counted_once(
        self, harness: Harness, store: Store
    ) -> None:
        """Two sweeps may meet the same hot row: the books still balance."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        await conflict(harness, store, run, spec)
        assert await store.sweep(run, spec, 1, 10) == 1
        await conflict(harness, store, run, spec)
        assert await books(store, run) == Outcome(read=3, written=2, conflicted=1)
        assert [i.bucket for i in await store.issues(run.id)] == [Bucket.CONFLICTED]
        assert await store.sweep(run, spec, 2, 10) == 1
        assert await work(store, run, spec) == Outcome(read=3, written=3)

    async def test_settled_rows_are_not_swept(self, harness: Harness, store: Store) -> None:
        """Skipped, failed, unchanged and written rows stay as they are, eligible or not."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT "
            "CHECK (normal <> 'style 2'))"
        )
        await add_items(harness, range(1, 7))
        await harness.sql("UPDATE items SET normal = 'style 3' WHERE id = 3")
        spec = items_spec(missing="1 = 1")
        run = await begin(store, spec)

        def answer(row: Row) -> Any:
            return None if row["id"] == 1 else str(row["style"]).lower()

        assert await work(store, run, spec, answer, rows=4) == Outcome(
            read=6, written=3, unchanged=1, skipped=1, failed=1
        )
        assert await store.sweep(run, spec, 1, 10) == 0
        assert await claim(store, run, spec) == []

    async def test_rows_inserted_in_between_are_swept(self, harness: Harness, store: Store) -> None:
        """New rows inside the target set are found; those behind its last key are not ours."""
        await make_items(harness, [1, 5, 9])
        spec = items_spec()
        run = await begin(store, spec)
        await work(store, run, spec, rows=2)
        await add_items(harness, [3, 7, 8, 12])
        assert await store.sweep(run, spec, 1, 2) == 3
        assert await work(store, run, spec) == Outcome(read=6, written=6)

    async def test_the_end_of_the_target_set_is_swept_when_its_last_row_is_gone(
        self, harness: Harness, store: Store
    ) -> None:
        """The last key bounds the set, whether or not its row still stands."""
        await make_items(harness, [1, 2, 9])
        spec = items_spec()
        run = await begin(store, spec)
        await harness.sql("DELETE FROM items WHERE id = 9")
        await work(store, run, spec)
        await add_items(harness, [7, 10])
        assert dict(await store.tally(run, spec)) == {"arrived": 1}
        assert await store.sweep(run, spec, 1, 10) == 1
        assert await work(store, run, spec) == Outcome(read=3, written=3)

    async def test_a_row_that_was_gone_and_is_eligible_again_is_counted_once(
        self, harness: Harness, store: Store
    ) -> None:
        """P1: it has its bucket, whatever becomes of it later; the count of the rest names it."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql(
            "UPDATE items SET normal = 'theirs' WHERE id = 2", "DELETE FROM items WHERE id = 3"
        )
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        while applied.retry is not None:
            page = await store.read(spec, applied.retry)
            settled = answered(page, spec)
            gone = [Issue(key=key, bucket=Bucket.GONE, reason="gone") for key in page.gone]
            settled = replace(settled, issues=(*settled.issues, *gone))
            applied = await store.apply(spec, applied.retry, settled, TERMS)
        await harness.sql("UPDATE items SET normal = NULL WHERE id = 2")
        await add_items(harness, [3])
        assert await store.sweep(run, spec, 1, 10) == 0
        assert await work(store, run, spec) == Outcome(read=3, written=1, gone=2)
        assert dict(await store.tally(run, spec)) == {"gone": 2}

    async def test_a_sweep_asked_for_twice_is_made_once(
        self, harness: Harness, store: Store
    ) -> None:
        """A lost reply is asked for again."""
        await make_items(harness, [1, 9])
        spec = items_spec()
        run = await begin(store, spec)
        await work(store, run, spec)
        await add_items(harness, [3, 5])
        assert await store.sweep(run, spec, 1, 10) == 2
        assert await store.sweep(run, spec, 1, 10) == 2
        assert await work(store, run, spec) == Outcome(read=4, written=4)

    async def test_what_is_still_eligible_is_counted_by_reason(
        self, harness: Harness, store: Store
    ) -> None:
        """The count is kept on the run; rows that the run never read count as arrived."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT "
            "CHECK (normal <> 'style 5'))"
        )
        await add_items(harness, [1, 2, 3, 5, 6, 9])
        spec = items_spec()
        run = await begin(store, spec)

        def answer(row: Row) -> Any:
            return None if row["id"] in (1, 6) else str(row["style"]).lower()

        await work(store, run, spec, answer, rows=2)
        await add_items(harness, [4])
        counts = {"arrived": 1, "failed": 1, "skipped": 2}
        assert dict(await store.tally(run, spec)) == counts
        kept = (await store.run(run.id)).still_eligible
        assert kept is not None
        assert dict(kept) == counts

    async def test_nothing_left_is_counted_as_nothing(self, harness: Harness, store: Store) -> None:
        """A clean end has an empty count, not a missing one."""
        await make_items(harness, [1, 2])
        run = await begin(store, items_spec())
        await work(store, run, items_spec())
        assert dict(await store.tally(run, items_spec())) == {}
        assert (await store.run(run.id)).still_eligible == {}
