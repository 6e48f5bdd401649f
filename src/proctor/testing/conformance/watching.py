"""What any store remembers of runs, and that looking leaves no trace."""

from __future__ import annotations

import pytest

from proctor.errors import UsageError
from proctor.model import ChunkState, KeyPart, Outcome, RunState, Span
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    ALICE,
    TERMS,
    begin,
    filled,
    finish,
    items_spec,
    make_items,
    work,
)
from proctor.testing.conformance.harness import Harness


class Watching:
    """A run can be read back whole by anybody who reaches the target."""

    async def test_a_run_is_remembered_whole(self, harness: Harness, store: Store) -> None:
        """Everything that it was begun with, from another store."""
        await make_items(harness, range(1, 6))
        spec = items_spec(
            key=(KeyPart(column="id", descending=True),),
            where="id > :low",
            params=(("low", 0), ("text", "é"), ("none", None), ("real", 1.5)),
            sensitive=("normal",),
        )
        span = Span(start=(4,), stop=(2,))
        await begin(store, spec, span=span)
        other = await harness.store()
        run = await other.run("run-1")
        assert (run.backfill, run.version, run.env, run.fills) == (
            "normalise",
            "1",
            "test",
            ("normal",),
        )
        assert (run.span, run.holder, run.last, run.expected) == (span, ALICE, (2,), 3)
        assert run.started is not None
        assert run.created.tzinfo is not None
        assert (run.ended, run.still_eligible) == (None, None)
        assert run.outcome == Outcome()
        assert await other.spec_of("run-1") == spec

    async def test_chunks_are_remembered_in_order(self, harness: Harness, store: Store) -> None:
        """With their books, the code that computed them and when they were applied."""
        await make_items(harness, range(1, 6))
        run = await begin(store, items_spec())
        await work(store, run, items_spec(), rows=2)
        run = await finish(store, run)
        chunks = await store.chunks(run.id)
        assert [c.chunk.upto for c in chunks] == [(2,), (4,), (5,)]
        assert [c.chunk.after for c in chunks] == [None, (2,), (4,)]
        assert [c.outcome.written for c in chunks] == [2, 2, 1]
        assert {c.state for c in chunks} == {ChunkState.APPLIED}
        assert {c.code for c in chunks} == {TERMS.code}
        assert all(c.applied is not None and c.took.total_seconds() > 0 for c in chunks)
        assert all(c.has_undo and not c.undone for c in chunks)
        assert run.ended is not None

    async def test_runs_come_newest_first(self, harness: Harness, store: Store) -> None:
        """All of them, or those of one backfill."""
        await make_items(harness, [1])
        for name, backfill in (("r1", "a"), ("r2", "b"), ("r3", "a")):
            await filled(store, items_spec(backfill=backfill), run=name)
        assert [r.id for r in await store.runs()] == ["r3", "r2", "r1"]
        assert [r.id for r in await store.runs(backfill="a")] == ["r3", "r1"]
        assert await store.runs(backfill="c") == []

    async def test_a_run_is_found_by_the_beginning_of_its_id(
        self, harness: Harness, store: Store
    ) -> None:
        """As long as it names one run only."""
        await make_items(harness, [1])
        for name in ("2026-ab", "2026-ac", "2026-ab-more"):
            await filled(store, items_spec(), run=name)
        assert (await store.run("2026-ac")).id == "2026-ac"
        assert (await store.run("2026-ab")).id == "2026-ab"
        assert (await store.run("2026-ab-")).id == "2026-ab-more"
        for unknown in ("2026-a", "x", "", "%"):
            with pytest.raises(UsageError):
                await store.run(unknown)

    async def test_before_the_first_run_there_is_nothing(
        self, harness: Harness, store: Store
    ) -> None:
        """Looking makes no tables."""
        await make_items(harness, [1])
        assert await store.runs() == []
        with pytest.raises(UsageError):
            await store.run("run-1")
        assert await store.prune(run=None, older_than=None) == 0
        assert not await harness.proctor_tables()

    async def test_looking_at_a_run_writes_nothing(self, harness: Harness, store: Store) -> None:
        """Status, issues, chunks, the spec, health: read-only, every one."""
        await make_items(harness, [1, 2])
        run = await filled(store, items_spec(), lambda _row: None)
        before = await harness.dump()
        await store.runs()
        await store.run(run.id)
        await store.spec_of(run.id)
        await store.chunks(run.id)
        await store.issues(run.id)
        await store.written_keys(run, 1)
        health = await store.health()
        assert await harness.dump() == before
        assert run.state is RunState.SUCCEEDED
        assert health.runs >= 1
        assert health.signals
        assert len({s.name for s in health.signals}) == len(health.signals)
