"""What a target remembers of its undo: neither a crash nor a lost reply takes the books away."""

from __future__ import annotations

import random

import pytest

from proctor.model import Bucket, Key, Run, Span, Undone
from proctor.ports import Store, UndoTerms
from proctor.testing.conformance.acting import filled, items_spec, make_items, roll_back
from proctor.testing.conformance.harness import Harness


async def kept(store: Store, run: Run) -> Undone:
    """What the run's only chunk says that undoing it came to, with the rows left alone."""
    (record,) = await store.chunks(run.id)
    assert not record.taken_back.left
    left = (await store.left_alone(run.id)).get(record.chunk.number, ())
    books = record.taken_back + Undone(left=tuple(left))
    assert books.balances
    assert len(left) == books.changed + books.gone + books.blocked
    return books


def counts(undone: Undone) -> tuple[int, int, int, int]:
    """Written, restored, changed, gone."""
    return (undone.written, undone.restored, undone.changed, undone.gone)


class Remembering:
    """The books of an undo are kept with the chunk, in the transaction that undoes it."""

    async def test_what_undoing_a_chunk_came_to_is_kept_with_it(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: whoever asks later, or never heard the answer, still sees the rows left alone."""
        await make_items(harness, [1, 2, 3, 4])
        run = await roll_back(store, await filled(store, items_spec()))
        assert counts(await kept(store, run)) == (0, 0, 0, 0)
        await harness.sql(
            "UPDATE items SET normal = 'theirs' WHERE id = 1", "DELETE FROM items WHERE id = 2"
        )
        (record,) = await store.chunks(run.id)
        done = await store.undo(run, record.chunk.number, UndoTerms())
        again = await store.undo(run, record.chunk.number, UndoTerms())
        assert again.written == 0
        other = await harness.store()
        books = await kept(other, run)
        assert counts(books) == counts(done) == (4, 2, 1, 1)
        assert [(i.key, i.bucket, i.reason) for i in books.left] == [
            (i.key, i.bucket, i.reason) for i in done.left
        ]
        (record,) = await other.chunks(run.id)
        assert record.forgotten == 0

    async def test_parts_add_up_and_a_row_stands_in_the_books_as_it_was_found_last(
        self, harness: Harness, store: Store
    ) -> None:
        """A row that a part left alone and a later one restored is restored, and counted once."""
        await make_items(harness, [1, 2, 3, 4])
        run = await roll_back(store, await filled(store, items_spec()))
        (record,) = await store.chunks(run.id)
        number = record.chunk.number
        await harness.sql("UPDATE items SET normal = 'theirs' WHERE id IN (1, 3)")
        part = UndoTerms(span=Span(stop=(2,)))
        await store.undo(run, number, part)
        assert counts(await kept(store, run)) == (2, 1, 1, 0)
        await store.undo(run, number, UndoTerms(span=Span(keys=((3,),))))
        books = await kept(store, run)
        assert counts(books) == (3, 1, 2, 0)
        keys: list[Key] = [(1,), (3,)]
        assert [(i.key, i.bucket) for i in books.left] == [(k, Bucket.CONFLICTED) for k in keys]
        await store.undo(run, number, UndoTerms(dry_run=True))
        assert counts(await kept(store, run)) == (3, 1, 2, 0)
        await harness.sql("UPDATE items SET normal = 'style 1' WHERE id = 1")
        await store.undo(run, number, UndoTerms())
        books = await kept(store, run)
        assert counts(books) == (4, 3, 1, 0)
        assert [i.key for i in books.left] == [(3,)]

    async def test_rows_whose_images_were_pruned_are_known_as_forgotten(
        self, harness: Harness, store: Store
    ) -> None:
        """P8: also single rows, and also after the others of their chunk were undone."""
        await make_items(harness, [1, 2, 3, 4])
        run = await filled(store, items_spec())

        async def forgotten() -> int:
            (record,) = await store.chunks(run.id)
            return record.forgotten

        assert await forgotten() == 0
        await store.prune(run=run.id, keys=[(3,)])
        assert await forgotten() == 1
        run = await roll_back(store, run)
        (record,) = await store.chunks(run.id)
        await store.undo(run, record.chunk.number, UndoTerms(span=Span(keys=((1,),))))
        assert await forgotten() == 1
        await store.undo(run, record.chunk.number, UndoTerms())
        assert await forgotten() == 1
        assert counts(await kept(store, run)) == (3, 3, 0, 0)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    async def test_parts_in_any_order_and_then_the_whole_account_for_every_row(
        self, harness: Harness, store: Store, seed: int
    ) -> None:
        """P3: others write in between; each dry run says what follows, and the books are true."""
        dice = random.Random(seed)  # noqa: S311 - a case, not a secret
        rows = 24
        await make_items(harness, range(1, rows + 1))
        run = await roll_back(store, await filled(store, items_spec()))
        for _ in range(6):
            written = await harness.fetch("SELECT id FROM items WHERE normal LIKE 'style %'")
            for (id_,) in dice.sample(written, min(3, len(written))):
                theirs = f"UPDATE items SET normal = 'theirs' WHERE id = {id_}"
                await harness.sql(dice.choice([theirs, f"DELETE FROM items WHERE id = {id_}"]))
            low, high = sorted(dice.sample(range(1, rows + 1), 2))
            keys: tuple[Key, ...] = tuple((dice.randint(1, rows),) for _ in range(3))
            await _as_forecast(
                store, run, dice.choice([Span(start=(low,), stop=(high,)), Span(keys=keys)])
            )
            mended = await harness.fetch("SELECT id FROM items WHERE normal = 'theirs'")
            for (id_,) in mended[:1]:
                await harness.sql(f"UPDATE items SET normal = 'style {id_}' WHERE id = {id_}")
        await _as_forecast(store, run, Span())
        records = await store.chunks(run.id)
        books = sum((r.taken_back for r in records), Undone())
        assert books.balances
        assert books.written == rows
        assert (await harness.fetch("SELECT count(*) FROM items")) == [(rows - books.gone,)]
        left = {i.key: i.bucket for some in (await store.left_alone(run.id)).values() for i in some}
        theirs_now = await harness.fetch("SELECT id FROM items WHERE normal IS NOT NULL")
        changed = {key for key, bucket in left.items() if bucket is Bucket.CONFLICTED}
        assert changed == set(theirs_now)
        assert len(changed) == books.changed
        assert all(r.undone for r in records)


async def _as_forecast(store: Store, run: Run, span: Span) -> None:
    """Undo a part newest first, and see that its dry run had said the very same."""
    numbers = [r.chunk.number for r in reversed(await store.chunks(run.id))]
    for number in numbers:
        seen = await store.undo(run, number, UndoTerms(span=span, dry_run=True))
        done = await store.undo(run, number, UndoTerms(span=span))
        assert counts(seen) == counts(done)
        assert sorted(map(str, seen.left)) == sorted(map(str, done.left))
