"""What units of work mean in any store: their states, and the rows that they emit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proctor.authoring import Failure, Refuse, Skip, grid
from proctor.core.settle import settle
from proctor.errors import Fenced
from proctor.model import (
    Applied,
    Bucket,
    Guard,
    Key,
    Lease,
    Outcome,
    Row,
    Run,
    RunState,
    Source,
    Span,
    Spec,
    Unit,
    UnitNote,
    UnitState,
)
from proctor.ports import Store, UndoTerms
from proctor.testing.conformance.acting import (
    OVER,
    TERMS,
    begin,
    books,
    claim,
    claim_one,
    every_script,
    finish,
    roll_back,
)
from proctor.testing.conformance.harness import Harness

WORKS = (
    "CREATE TABLE works (isbn VARCHAR(20) NOT NULL PRIMARY KEY, title VARCHAR(99) NOT NULL, "
    "author VARCHAR(99), note VARCHAR(99))"
)
STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE = datetime(2126, 1, 1, tzinfo=UTC)
"""A clock that goes a century fast: nothing is completed before it was begun all the same."""

Given = Callable[[Row], Any]
"""What the function gives for a unit: rows, or a word."""


def books_spec(years: Sequence[int] = (2023, 2024), **changes: Any) -> Spec:
    """Books of two months of each year, newest first."""
    units = grid(year=years, month=(1, 2), order=("-year", "-month"))
    plain = Spec(
        backfill="books",
        version="1",
        kind=Source.QUERY,
        source=units.sql,
        key=units.key,
        fills=("title", "author"),
        into="works",
        into_key=("isbn",),
        guard=Guard.TARGET,
        attempts=units.attempts,
        emits=True,
    )
    return replace(plain, **changes)


def book(isbn: str, title: str, author: str | None = None) -> dict[str, Any]:
    """A row that a unit gives."""
    return {"isbn": isbn, "title": title, "author": author}


def two(unit: Row) -> list[dict[str, Any]]:
    """Two books of a month."""
    return [book(f"{unit['year']}-{unit['month']}-{n}", f"Book {n}", "Ann") for n in (1, 2)]


async def process(
    store: Store,
    spec: Spec,
    lease: Lease,
    given: Given = two,
    *,
    started: datetime = STARTED,
    metrics: Mapping[str, Any] | None = None,
) -> Applied:
    """Read, answer and apply one unit."""
    page = await store.read(spec, lease)
    settled = settle(page, [given(row) for row in page.rows], spec)
    note = UnitNote(started=started, metrics=metrics or {})
    settled = replace(settled, notes=dict.fromkeys(page.keys, note))
    return await store.apply(spec, lease, await store.prepare(spec, settled), TERMS)


async def work(store: Store, run: Run, spec: Spec, given: Given = two) -> Outcome:
    """Claim and process until no unit is left."""
    while leases := await claim(store, run, spec, count=3):
        for lease in leases:
            await process(store, spec, lease, given)
    return await books(store, run)


async def done(
    store: Store, spec: Spec, given: Given = two, *, name: str = "run-1", span: Span | None = None
) -> Run:
    """A run from its begin to its end."""
    run = await begin(store, spec, run=name, span=span or Span())
    await work(store, run, spec, given)
    await store.tally(run, spec)
    return await finish(store, run)


async def taken_back(store: Store, run: Run, terms: UndoTerms | None = None) -> Any:
    """Undo a run as a rollback does: newest first."""
    terms = terms or UndoTerms()
    run = await roll_back(store, run)
    chunks = sorted(await store.chunks(run.id), key=lambda c: c.turn, reverse=True)
    undone = [await store.undo(run, c.chunk.number, terms) for c in chunks]
    then = RunState.ROLLED_BACK if terms.whole else RunState.SUCCEEDED
    await store.move(run.id, then, among=[RunState.ROLLING_BACK])
    return sum(undone[1:], undone[0])


async def states(store: Store, run: Run) -> dict[Key, UnitState]:
    """Where the units of a run stand."""
    return {unit.key: unit.state for unit in await store.units(run.id)}


async def one_unit(store: Store, run: Run, key: Key) -> Unit:
    """A unit as it stands."""
    (found,) = [unit for unit in await store.units(run.id) if unit.key == key]
    return found


def raising(key: tuple[int, int], said: Any) -> Given:
    """Two books of each month but this, of which something else is said."""
    return lambda unit: said if (unit["year"], unit["month"]) == key else two(unit)


class Emitting:
    """Units are counted, claimed, tried and taken back as rows are, and so is what they emit."""

    async def test_units_are_counted_without_a_table_of_them(
        self, harness: Harness, store: Store
    ) -> None:
        """A plan and a dry run see the units of a grid, and write nothing, not even its table."""
        await harness.sql(WORKS)
        spec = books_spec()
        await store.inspect(spec)
        survey = await store.survey(spec, Span())
        assert (survey.rows, survey.eligible) == (4, 4)
        assert (survey.first, survey.last) == ((2024, 2), (2023, 1))
        page = await store.sample(spec, 2, span=Span())
        assert page.rows == [{"year": 2024, "month": 2}, {"year": 2024, "month": 1}]
        assert not await harness.proctor_tables()

    async def test_each_unit_is_a_chunk_of_its_own_in_the_order_of_the_grid(
        self, harness: Harness, store: Store
    ) -> None:
        """However many rows are asked for, also where keys are listed or a limit is set."""
        await harness.sql(WORKS)
        spec = books_spec()
        run = await begin(store, spec)
        leases = await claim(store, run, spec, count=9, rows=500)
        assert [x.chunk.upto for x in leases] == [(2024, 2), (2024, 1), (2023, 2), (2023, 1)]
        assert set((await states(store, run)).values()) == {UnitState.PROCESSING}
        await store.move(run.id, RunState.CANCELLED, among=[RunState.RUNNING])
        for name, span in (
            ("run-2", Span(keys=((2023, 1), (2024, 1)))),
            ("run-3", Span(limit=2)),
        ):
            part = await begin(store, spec, run=name, span=span)
            leases = await claim(store, part, spec, count=9, rows=500)
            assert [len(x.chunk.keys or ()) for x in leases] == [1, 1]
            await store.move(name, RunState.CANCELLED, among=[RunState.RUNNING])

    async def test_rows_of_a_unit_are_inserted_or_updated_in_declared_fields_only(
        self, harness: Harness, store: Store
    ) -> None:
        """P10: what else a row holds is as it was; the books count units, not rows."""
        await harness.sql(
            WORKS,
            "INSERT INTO works VALUES ('2024-1-1', 'Old', 'Bob', 'kept'), ('x', 'X', NULL, 'x')",
        )
        spec = books_spec((2024,))
        run = await begin(store, spec)
        assert await work(store, run, spec) == Outcome(read=2, written=2)
        assert await harness.fetch("SELECT * FROM works ORDER BY isbn") == [
            ("2024-1-1", "Book 1", "Ann", "kept"),
            ("2024-1-2", "Book 2", "Ann", None),
            ("2024-2-1", "Book 1", "Ann", None),
            ("2024-2-2", "Book 2", "Ann", None),
            ("x", "X", None, "x"),
        ]
        assert await store.tally(run, spec) == {}

    async def test_what_a_unit_came_to_stands_with_it(self, harness: Harness, store: Store) -> None:
        """State, attempts, metrics and times are written with the rows, in one transaction."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        await process(store, spec, lease, metrics={"books_generated": 2, "variant": "Größe"})
        unit = await one_unit(store, run, (2024, 2))
        assert (unit.state, unit.attempts, unit.run) == (UnitState.COMPLETED, 1, run.id)
        assert (unit.emitted, unit.started) == (2, STARTED)
        assert unit.metrics == {"books_generated": 2, "variant": "Größe"}
        assert unit.completed is not None
        assert unit.completed >= STARTED
        assert (await states(store, run))[2024, 1] is UnitState.PENDING

    async def test_a_unit_is_never_completed_before_it_was_begun(
        self, harness: Harness, store: Store
    ) -> None:
        """Two clocks may disagree; and no state but a final one has a time of completion."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        first, second = await claim(store, run, spec, count=2)
        await process(store, spec, first, started=LATE)
        await process(store, spec, second, lambda _unit: Failure("boom"), started=LATE)
        finished, failed = await store.units(run.id)
        assert finished.completed == LATE
        assert (failed.state, failed.completed) == (UnitState.RETRY, None)

    async def test_a_unit_of_which_one_row_is_refused_writes_none(
        self, harness: Harness, store: Store
    ) -> None:
        """Its neighbours are written, the reason is listed, and the next run tries it again."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        bad = [book("a", "A"), book("b", None), book("c", "C")]  # type: ignore[arg-type]
        assert await work(store, run, spec, raising((2024, 2), bad)) == Outcome(
            read=2, written=1, failed=1
        )
        assert await harness.fetch("SELECT isbn FROM works ORDER BY isbn") == [
            ("2024-1-1",),
            ("2024-1-2",),
        ]
        (issue,) = await store.issues(run.id)
        assert (issue.key, issue.bucket) == ((2024, 2), Bucket.FAILED)
        assert "of its 3 rows" in issue.reason
        assert (await one_unit(store, run, (2024, 2))).reason == issue.reason
        assert await store.tally(run, spec) == {"failed": 1}
        await finish(store, run)
        again = await begin(store, spec, run="run-2")
        assert again.expected == 1
        assert await work(store, again, spec) == Outcome(read=1, written=1)
        assert (await one_unit(store, again, (2024, 2))).attempts == 2

    async def test_two_rows_of_one_key_fail_their_unit(
        self, harness: Harness, store: Store
    ) -> None:
        """Nobody can say which of them was meant; the same row twice is one row."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        twice = [book("a", "A"), book("a", "A")]
        other = [book("b", "B"), book("b", "C")]
        given = {1: twice, 2: other}
        outcome = await work(store, run, spec, lambda unit: given[unit["month"]])
        assert outcome == Outcome(read=2, written=1, failed=1)
        assert await harness.fetch("SELECT isbn FROM works") == [("a",)]

    async def test_a_unit_has_so_many_attempts_and_then_has_failed(
        self, harness: Harness, store: Store
    ) -> None:
        """One a run; a refusal is one too; a skip is none; more attempts open it again."""
        await harness.sql(WORKS)
        spec = books_spec((2024,), attempts=3)
        said = [Failure("boom"), Skip("no quota"), Refuse("cannot name 20"), Failure("boom")]
        seen = []
        for n, word in enumerate(said):
            run = await done(store, spec, lambda _unit, word=word: word, name=f"run-{n}")  # type: ignore[misc]
            unit = (await store.units(run.id))[0]
            seen.append((unit.state, unit.attempts, unit.completed is not None))
        assert seen == [
            (UnitState.RETRY, 1, False),
            (UnitState.RETRY, 1, False),
            (UnitState.RETRY, 2, False),
            (UnitState.FAILED, 3, True),
        ]
        assert (await store.survey(spec, Span())).eligible == 0
        assert (await store.survey(replace(spec, attempts=4), Span())).eligible == 2

    async def test_a_unit_that_gives_no_row_is_completed(
        self, harness: Harness, store: Store
    ) -> None:
        """Nothing was written, so it is unchanged; and it is not asked again."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        assert await work(store, run, spec, lambda _unit: []) == Outcome(read=2, unchanged=2)
        assert await store.tally(run, spec) == {}
        assert set((await states(store, run)).values()) == {UnitState.COMPLETED}

    async def test_more_values_add_units_and_another_version_does_all_anew(
        self, harness: Harness, store: Store
    ) -> None:
        """Seeding can be repeated: what was done stays done, in whatever order units are taken."""
        await harness.sql(WORKS)
        await done(store, books_spec((2024,)))
        more = books_spec((2022, 2023, 2024))
        turned = replace(more, key=tuple(reversed(more.key)))
        assert (await store.survey(more, Span())).eligible == 4
        assert (await store.survey(turned, Span())).eligible == 4
        assert (await store.survey(replace(more, version="2"), Span())).eligible == 6

    async def test_for_another_table_the_same_units_are_still_to_be_done(
        self, harness: Harness, store: Store
    ) -> None:
        """P2: what was done is what was written there; an undo of the one leaves the other's."""
        await harness.sql(WORKS, WORKS.replace("works", "works_v2"))
        spec = books_spec((2024,))
        other = replace(spec, into="works_v2")
        run = await done(store, spec)
        assert (await store.survey(other, Span())).eligible == 2
        second = await done(store, other, name="run-2")
        assert len(await harness.fetch("SELECT * FROM works_v2")) == 4
        await taken_back(store, run)
        assert set((await states(store, second)).values()) == {UnitState.COMPLETED}
        assert (await store.survey(spec, Span())).eligible == 2
        assert (await store.survey(other, Span())).eligible == 0

    async def test_a_claim_that_was_lost_writes_neither_rows_nor_unit(
        self, harness: Harness, store: Store
    ) -> None:
        """P2: the one who holds the fence writes the unit, once."""
        await harness.sql(WORKS)
        spec = books_spec((2024,))
        run = await begin(store, spec)
        late = await claim_one(store, run, spec, lease_for=OVER)
        taken = await claim_one(store, run, spec, worker="worker-2")
        assert taken.chunk.upto == late.chunk.upto
        with pytest.raises(Fenced):
            await process(store, spec, late, lambda _unit: [book("late", "Late")])
        assert await harness.fetch("SELECT * FROM works") == []
        assert (await one_unit(store, run, (2024, 2))).attempts == 1
        await process(store, spec, taken)
        assert len(await harness.fetch("SELECT * FROM works")) == 2
        assert (await one_unit(store, run, (2024, 2))).attempts == 2

    async def test_one_row_for_each_unit_goes_into_a_table(
        self, harness: Harness, store: Store
    ) -> None:
        """With `into` a unit fills the row of its own key, and has a state all the same."""
        await harness.sql(
            "CREATE TABLE months (year INTEGER NOT NULL, month INTEGER NOT NULL, "
            "title VARCHAR(99), PRIMARY KEY (year, month))"
        )
        spec = books_spec(
            (2024,), emits=False, into="months", into_key=("year", "month"), fills=("title",)
        )

        def titled(unit: Row) -> dict[str, Any]:
            return {"title": f"{unit['month']}/{unit['year']}"}

        run = await done(store, spec, titled)
        filled = "SELECT * FROM months ORDER BY month"
        assert await harness.fetch(filled) == [(2024, 1, "1/2024"), (2024, 2, "2/2024")]
        assert set((await states(store, run)).values()) == {UnitState.COMPLETED}
        undone = await taken_back(store, run)
        assert undone.restored == 2
        assert await harness.fetch(filled) == []
        assert set((await states(store, run)).values()) == {UnitState.PENDING}
        run = await done(store, spec, titled, name="run-2")
        await harness.script(await every_script(store, run))
        assert await harness.fetch(filled) == []
        assert set((await states(store, run)).values()) == {UnitState.PENDING}
