"""What taking units back means in any store: their rows exactly, and they stand as before."""

from __future__ import annotations

from typing import Any

import pytest

from proctor.authoring import Failure, Refuse
from proctor.model import Outcome, Row, Span, UnitState
from proctor.ports import Store, UndoTerms
from proctor.testing.conformance.acting import (
    LEASE,
    OVER,
    begin,
    claim,
    claim_one,
    every_script,
    finish,
)
from proctor.testing.conformance.emitting import (
    WORKS,
    book,
    books_spec,
    done,
    one_unit,
    process,
    raising,
    states,
    taken_back,
    two,
    work,
)
from proctor.testing.conformance.harness import Harness


class Retracting:
    """P3 for rows that units emitted, of whatever unit they are."""

    async def test_undo_restores_and_deletes_what_units_wrote_exactly(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: rows that stood there hold what they held, others are gone, and units are pending."""
        before = "SELECT * FROM works ORDER BY isbn"
        await harness.sql(WORKS, "INSERT INTO works VALUES ('2024-1-1', 'Old', NULL, 'kept')")
        stood = await harness.fetch(before)
        run = await done(store, books_spec(), raising((2023, 2), Refuse("cannot")))
        assert len(await harness.fetch(before)) == 6
        undone = await taken_back(store, run)
        assert (undone.written, undone.restored) == (6, 6)
        assert undone.balances
        assert await harness.fetch(before) == stood
        assert set((await states(store, run)).values()) == {UnitState.PENDING}
        assert (await store.survey(books_spec(), Span())).eligible == 4

    async def test_undo_leaves_rows_alone_that_somebody_changed_or_refers_to(
        self, harness: Harness, store: Store
    ) -> None:
        """They are listed by their own keys, whatever unit gave them."""
        await harness.sql(WORKS, "CREATE TABLE loans (isbn VARCHAR(20) REFERENCES works (isbn))")
        run = await done(store, books_spec((2024,)))
        await harness.sql(
            "UPDATE works SET note = 'mine' WHERE isbn = '2024-1-1'",
            "INSERT INTO loans VALUES ('2024-1-2')",
            "DELETE FROM works WHERE isbn = '2024-2-1'",
        )
        undone = await taken_back(store, run)
        assert (undone.written, undone.restored) == (4, 1)
        assert (undone.changed, undone.blocked, undone.gone) == (1, 1, 1)
        assert {issue.key for issue in undone.left} == {("2024-1-1",), ("2024-1-2",), ("2024-2-1",)}
        assert await harness.fetch("SELECT isbn FROM works ORDER BY isbn") == [
            ("2024-1-1",),
            ("2024-1-2",),
        ]

    async def test_a_row_of_two_units_is_undone_newest_first(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: and while both stand it holds, for what changed it is the run itself."""
        await harness.sql(WORKS, "INSERT INTO works VALUES ('both', 'Old', 'Bob', 'kept')")

        def shared(unit: Row) -> list[dict[str, Any]]:
            return [book("both", f"of {unit['month']}"), book("new", f"of {unit['month']}")]

        run = await done(store, books_spec((2024,)), shared)
        titles = "SELECT isbn, title, author, note FROM works ORDER BY isbn"
        assert await harness.fetch(titles) == [
            ("both", "of 1", None, "kept"),
            ("new", "of 1", None, None),
        ]
        held = [await store.verify(run, c.chunk.number) for c in await store.chunks(run.id)]
        assert [(h.written, h.restored) for h in held] == [(2, 2), (2, 2)]
        forecast = [
            await store.undo(run, c.chunk.number, UndoTerms(dry_run=True))
            for c in await store.chunks(run.id)
        ]
        assert sum(f.restored for f in forecast) == 4
        undone = await taken_back(store, run)
        assert (undone.written, undone.restored) == (4, 4)
        assert await harness.fetch(titles) == [("both", "Old", "Bob", "kept")]

    async def test_a_row_of_two_units_is_undone_in_the_order_in_which_they_were_written(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: the unit that was claimed first may be the last to write; scripts know it too."""
        await harness.sql(WORKS, "INSERT INTO works VALUES ('both', 'Old', 'Bob', 'kept')")
        spec = books_spec((2024,))

        def shared(unit: Row) -> list[dict[str, Any]]:
            return [book("both", f"of {unit['month']}"), book("new", f"of {unit['month']}")]

        run = await begin(store, spec)
        slow, quick = await claim(store, run, spec, count=2)
        await process(store, spec, quick, shared)
        await process(store, spec, slow, shared)
        await finish(store, run)
        titles = "SELECT isbn, title, author, note FROM works ORDER BY isbn"
        assert [row[1] for row in await harness.fetch(titles)] == ["of 2", "of 2"]
        records = await store.chunks(run.id)
        held = [await store.verify(run, c.chunk.number) for c in records]
        assert [(h.written, h.restored) for h in held] == [(2, 2), (2, 2)]
        dry = UndoTerms(dry_run=True)
        forecast = [await store.undo(run, c.chunk.number, dry) for c in records]
        assert sum(f.restored for f in forecast) == 4
        script = (await every_script(store, run)).lower()
        assert script.index("-- chunk 1:") < script.index("-- chunk 2:")
        undone = await taken_back(store, run)
        assert (undone.written, undone.restored) == (4, 4)
        assert await harness.fetch(titles) == [("both", "Old", "Bob", "kept")]

    async def test_one_unit_is_taken_back_by_its_key(self, harness: Harness, store: Store) -> None:
        """All its rows and none of the others; it is pending, and the next run does it again."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await done(store, spec)
        undone = await taken_back(store, run, UndoTerms(span=Span(keys=((2024, 2),))))
        assert (undone.written, undone.restored) == (2, 2)
        assert await harness.fetch("SELECT isbn FROM works ORDER BY isbn") == [
            ("2024-1-1",),
            ("2024-1-2",),
        ]
        assert await states(store, run) == {
            (2024, 2): UnitState.PENDING,
            (2024, 1): UnitState.COMPLETED,
        }
        assert (await done(store, spec, name="run-2")).outcome == Outcome(read=1, written=1)

    async def test_a_unit_goes_back_to_what_it_was_before_the_run(
        self, harness: Harness, store: Store
    ) -> None:
        """Attempts of earlier runs stay counted when a later one is taken back."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        await done(store, spec, lambda _unit: Failure("boom"))
        run = await done(store, spec, name="run-2")
        await taken_back(store, run)
        unit = (await store.units(run.id))[0]
        assert (unit.state, unit.attempts, unit.run) == (UnitState.RETRY, 1, "run-1")
        assert unit.reason == "boom"

    async def test_runs_that_are_taken_back_one_after_the_other_leave_what_was_before_them(
        self, harness: Harness, store: Store
    ) -> None:
        """Each goes back a step: the attempts of the first stay counted."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        for name in ("run-1", "run-2"):
            await done(store, spec, lambda _unit: Failure("boom"), name=name)
        last = await done(store, spec, name="run-3")
        for run, attempts in ((last, 2), (await store.run("run-2"), 1)):
            await taken_back(store, run)
            unit = (await store.units(run.id))[0]
            assert (unit.state, unit.attempts) == (UnitState.RETRY, attempts)

    async def test_a_unit_is_to_be_done_again_when_rows_that_a_later_run_found_are_taken_back(
        self, harness: Harness, store: Store
    ) -> None:
        """The later run had nothing to change, so it wrote none of them; they are not there now."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        newer = books_spec((2024,), version="2")
        run = await done(store, spec)
        later = await done(store, newer, name="run-2")
        assert later.outcome == Outcome(read=2, unchanged=2)
        await taken_back(store, run)
        assert await harness.fetch("SELECT * FROM works") == []
        assert set((await states(store, later)).values()) == {UnitState.PENDING}
        assert (await store.survey(newer, Span())).eligible == 2
        await taken_back(store, later)
        assert (await store.survey(spec, Span())).eligible == 2

    async def test_rows_of_a_unit_that_refer_to_each_other_are_all_deleted(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: nobody but the run refers to them, however long their chain is."""
        await harness.sql(
            "CREATE TABLE works (isbn VARCHAR(20) NOT NULL PRIMARY KEY, "
            "title VARCHAR(99) NOT NULL, author VARCHAR(20) REFERENCES works (isbn))"
        )
        chain = [book("a", "First"), book("b", "Second", "a"), book("c", "Third", "b")]
        spec = books_spec((2024,))
        run = await done(store, spec, lambda unit: chain if unit["month"] == 1 else [])
        assert len(await harness.fetch("SELECT * FROM works")) == 3
        undone = await taken_back(store, run)
        assert (undone.written, undone.restored) == (3, 3)
        assert await harness.fetch("SELECT * FROM works") == []

    @pytest.mark.parametrize("taken_over", [False, True], ids=["lease over", "taken over"])
    async def test_a_unit_that_ends_its_process_has_so_many_attempts(
        self, harness: Harness, store: Store, taken_over: bool
    ) -> None:
        """Who dies says nothing: whoever takes the unit next counts it; other units go on."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        for tried in range(1, spec.attempts + 1):
            await claim_one(store, run, spec, lease_for=LEASE if taken_over else OVER)
            if taken_over:
                run = await begin(store, spec, resume=True, dead=True)
            if tried == 1 and not taken_over:
                continue  # it is known when it is claimed again
            unit = await one_unit(store, run, (2024, 2))
            assert unit.attempts == tried - (not taken_over)
            assert "its process ended" in unit.reason
        await work(store, run, spec, two)
        unit = await one_unit(store, run, (2024, 2))
        assert (unit.state, unit.attempts) == (UnitState.FAILED, spec.attempts)
        assert unit.completed is not None
        assert (await one_unit(store, run, (2024, 1))).state is UnitState.COMPLETED
        assert (await store.survey(spec, Span())).eligible == 0
        await finish(store, run)
        await taken_back(store, run)
        assert (await one_unit(store, run, (2024, 2))).attempts == 0

    async def test_sql_that_undoes_units_needs_no_proctor(
        self, harness: Harness, store: Store
    ) -> None:
        """The script deletes and restores emitted rows as a rollback does; units are pending."""
        await harness.sql(WORKS, "INSERT INTO works VALUES ('2024-1-1', 'Old', NULL, 'kept')")
        run = await done(store, books_spec((2024,)))
        await harness.script(await every_script(store, run))
        assert await harness.fetch("SELECT * FROM works") == [("2024-1-1", "Old", None, "kept")]
        assert set((await states(store, run)).values()) == {UnitState.PENDING}
        assert (await store.survey(books_spec((2024,)), Span())).eligible == 2

    async def test_sql_that_undoes_a_unit_tried_before_leaves_it_to_be_tried_again(
        self, harness: Harness, store: Store
    ) -> None:
        """As it stood before the run, with the reason that it had, whatever that says."""
        await harness.sql(WORKS)
        spec, why = books_spec((2024,)), "it's $proctor$ 'no'; --"
        first = await done(store, spec, raising((2024, 2), Refuse(why)))
        run = await done(store, spec, name="run-2")
        await harness.script(await every_script(store, run))
        unit = await one_unit(store, first, (2024, 2))
        assert (unit.state, unit.attempts, unit.reason) == (UnitState.RETRY, 1, why)

    async def test_images_of_a_unit_are_forgotten_by_its_key(
        self, harness: Harness, store: Store
    ) -> None:
        """Keys that a person types for a grid are those of units."""
        await harness.sql(WORKS)
        run = await done(store, books_spec((2024,)))
        assert await store.prune(run=run.id, keys=[(2024, 2)]) == 2
        assert [c.has_undo for c in await store.chunks(run.id)] == [False, True]
