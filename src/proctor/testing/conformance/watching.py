"""What any store remembers of runs, and that looking leaves no trace."""

from __future__ import annotations

import hashlib

import pytest

from proctor.errors import UsageError
from proctor.model import ABSENT, ChunkState, KeyPart, Outcome, RunState, Span
from proctor.ports import Store, UndoTerms
from proctor.testing.conformance.acting import (
    ALICE,
    TERMS,
    begin,
    filled,
    finish,
    items_spec,
    make_items,
    roll_back,
    work,
)
from proctor.testing.conformance.guarding import ABOUT, ABOUT_SPEC
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
        await begin(store, spec, span=span, estimated=True)
        other = await harness.store()
        run = await other.run("run-1")
        assert (run.backfill, run.version, run.env, run.fills) == (
            "normalise",
            "1",
            "test",
            ("normal",),
        )
        assert (run.span, run.holder, run.last, run.expected) == (span, ALICE, (2,), 3)
        assert run.estimated
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
            with pytest.raises(UsageError) as caught:
                await store.run(unknown)
            assert caught.value.found
            assert caught.value.fix
            assert unknown != "2026-a" or "2026-ab" in caught.value.found

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
        await store.journalled(run, 1, 3)
        health = await store.health()
        assert await harness.dump() == before
        assert run.state is RunState.SUCCEEDED
        assert health.runs >= 1
        assert health.signals
        assert len({s.name for s in health.signals}) == len(health.signals)

    async def test_the_journal_shows_rows_before_and_after(
        self, harness: Harness, store: Store
    ) -> None:
        """For a report: a few rows of a chunk, spread over it, undone or not; no more than asked.

        A long value may be kept as a digest: it is shown while the row holds it.
        """
        await make_items(harness, range(1, 10))
        await harness.sql("UPDATE items SET note = 'it''s old' WHERE id > 1")
        long = {i: hashlib.sha256(bytes([i])).hexdigest() * 2 for i in range(1, 10)}
        spec = items_spec(fills=("normal", "note"), missing="1 = 1")
        run = await filled(store, spec, lambda row: (long[row["id"]], "new"))
        (record,) = await store.chunks(run.id)
        number = record.chunk.number
        seen = await store.journalled(run, number, 3)
        assert [(s.key, s.before, s.after) for s in seen] == [
            ((1,), (None, None), (long[1], "new")),
            ((4,), (None, "it's old"), (long[4], "new")),
            ((7,), (None, "it's old"), (long[7], "new")),
        ]
        assert "old" not in repr(seen)
        await harness.sql("UPDATE items SET normal = 'theirs' WHERE id = 4")
        (_, changed, _) = await store.journalled(run, number, 3)
        assert changed.before == (None, "it's old")
        assert changed.after in (None, (long[4], "new"))
        assert len(await store.journalled(run, number, 100)) == 9
        await store.undo(await roll_back(store, run), number, UndoTerms())
        assert [s.before for s in await store.journalled(run, number, 1)] == [(None, None)]
        await store.prune(run=run.id)
        assert await store.journalled(run, number, 3) == []
        assert await store.journalled(run, 99, 3) == []

    async def test_the_journal_shows_what_was_not_there(
        self, harness: Harness, store: Store
    ) -> None:
        """A row that was inserted has no before; a place in a document may have been absent."""
        await make_items(harness, [1, 2])
        await harness.sql(
            ABOUT,
            "INSERT INTO about VALUES (1, NULL, NULL, 'mine')",
            f"CREATE TABLE docs (id INTEGER PRIMARY KEY, doc {harness.json_type})",
            """INSERT INTO docs VALUES (1, '{"a": 1}'), (2, '{"in": {"normal": 7}}'), (3, NULL)""",
        )
        run = await filled(store, ABOUT_SPEC)
        about = await store.journalled(run, 1, 9)
        assert [(s.key, s.before is None) for s in about] == [((1,), False), ((2,), True)]
        assert [s.after and s.after[0] for s in about] == ["style 1", "style 2"]
        spec = items_spec(source="docs", fills=("doc.in.normal",), missing="1 = 1")
        run = await filled(store, spec, lambda _row: 8, run="run-2")
        before = [s.before for s in await store.journalled(run, 1, 9)]
        assert before[:2] == [(ABSENT,), ("7",)]
        assert before[2] in ((None,), (ABSENT,))
