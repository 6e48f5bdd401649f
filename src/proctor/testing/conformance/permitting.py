"""What a store does ahead of its turn means nothing where the rows have changed by then."""

from __future__ import annotations

import pytest

from proctor.model import Outcome
from proctor.ports import Permit, Store, UndoTerms
from proctor.testing.conformance.acting import (
    TERMS,
    begin,
    books,
    claim_one,
    filled,
    finish,
    items_spec,
    make_items,
    roll_back,
)
from proctor.testing.conformance.harness import Harness
from proctor.testing.conformance.undoing import books_of

ROWS = "SELECT id, normal FROM items ORDER BY id"
LOWER = (("normal", "lower(style)"),)


class Permitting:
    """Between what is done ahead and the write, others may have done anything."""

    async def test_an_expression_is_computed_of_the_rows_as_they_are_then(
        self, harness: Harness, store: Store
    ) -> None:
        """Both the values and the undo data are of what others wrote at the last moment."""
        await make_items(harness, range(1, 6))
        spec = items_spec(sql=LOWER, missing="note IS NULL")
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        others = said(
            harness,
            "UPDATE items SET style = 'LATE' WHERE id = 2",
            "UPDATE items SET normal = 'theirs' WHERE id = 3",
        )
        applied = await store.apply_sql(spec, lease, TERMS, permit=others)
        assert applied.outcome == Outcome(read=5, written=5) == await books(store, run)
        wrote = [(1, "style 1"), (2, "late"), (3, "style 3"), (4, "style 4"), (5, "style 5")]
        assert await harness.fetch(ROWS) == wrote
        back = await roll_back(store, await finish(store, run))
        undone = await store.undo(back, lease.chunk.number, UndoTerms())
        assert books_of(undone) == (5, 5, 0, 0, 0)
        restored = [(1, None), (2, None), (3, "theirs"), (4, None), (5, None)]
        assert await harness.fetch(ROWS) == restored

    async def test_an_expression_whose_columns_have_changed_is_computed_anew(
        self, harness: Harness, store: Store
    ) -> None:
        """A column that came meanwhile changes nothing, and is no part of anything."""
        await make_items(harness, range(1, 4))
        spec = items_spec(sql=LOWER)
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        others = said(harness, "ALTER TABLE items ADD COLUMN later TEXT DEFAULT 'x'")
        assert (await store.apply_sql(spec, lease, TERMS, permit=others)).outcome.written == 3
        assert await harness.fetch(ROWS) == [(n, f"style {n}") for n in (1, 2, 3)]

    async def test_undo_leaves_what_others_did_before_its_turn(
        self, harness: Harness, store: Store
    ) -> None:
        """A row that was changed at the last moment is not put back."""
        await make_items(harness, range(1, 6))
        run = await filled(store, items_spec())
        others = said(harness, "UPDATE items SET normal = 'theirs' WHERE id = 2")
        back = await roll_back(store, run)
        (record,) = [c for c in await store.chunks(run.id) if c.undo_rows]
        undone = await store.undo(back, record.chunk.number, UndoTerms(), permit=others)
        assert books_of(undone) == (5, 4, 1, 0, 0)
        restored = [(1, None), (2, "theirs"), (3, None), (4, None), (5, None)]
        assert await harness.fetch(ROWS) == restored

    async def test_without_a_permit_nothing_is_written(
        self, harness: Harness, store: Store
    ) -> None:
        """What waits for it may have to give up: its error passes, and the chunk is still ours."""
        await make_items(harness, range(1, 4))
        spec = items_spec(sql=LOWER)
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        with pytest.raises(InterruptedError):
            await store.apply_sql(spec, lease, TERMS, permit=shut)
        assert await harness.fetch(ROWS) == [(n, None) for n in (1, 2, 3)]
        assert (await store.apply_sql(spec, lease, TERMS)).outcome.written == 3
        back = await roll_back(store, await finish(store, run))
        with pytest.raises(InterruptedError):
            await store.undo(back, lease.chunk.number, UndoTerms(), permit=shut)
        assert await harness.fetch(ROWS) == [(n, f"style {n}") for n in (1, 2, 3)]
        undone = await store.undo(back, lease.chunk.number, UndoTerms())
        assert books_of(undone) == (3, 3, 0, 0, 0)


def said(harness: Harness, *statements: str) -> Permit:
    """A permit during whose wait somebody else says these statements."""

    async def permit() -> None:
        await harness.sql(*statements)

    return permit


async def shut() -> None:
    """No permit."""
    raise InterruptedError
