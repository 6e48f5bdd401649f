"""What rows that a called service writes mean in any store: two looks, undo, forgetting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from proctor.authoring import backfill, table
from proctor.errors import Fenced, TargetError
from proctor.model import Lease, Page, Run, Spec
from proctor.ports import Store, UndoTerms
from proctor.testing.conformance.acting import OVER, begin, claim, claim_one, finish
from proctor.testing.conformance.emitting import process
from proctor.testing.conformance.harness import Harness

TABLES = (
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY, title TEXT)",
    """CREATE TABLE scores (
        session_id INTEGER, part VARCHAR(9), score TEXT, PRIMARY KEY (session_id, part)
    )""",
    "CREATE TABLE drafts (id INTEGER PRIMARY KEY, session_id INTEGER, body TEXT)",
    "INSERT INTO sessions VALUES (1, 'one'), (2, 'two')",
    "INSERT INTO scores VALUES (1, 'old', '7'), (2, 'old', '8')",
    "INSERT INTO drafts VALUES (10, 1, 'first'), (20, 2, 'second')",
)
ALL = (
    "SELECT * FROM scores ORDER BY session_id, part",
    "SELECT * FROM drafts ORDER BY id",
)
TAKEN_BACK = UndoTerms(touched=True)
LOOKED = UndoTerms(touched=True, dry_run=True)


def scores_spec() -> Spec:
    """A service is called for each session, and writes scores and drafts."""

    @backfill(
        table("sessions", key="id"),
        touches=(
            table("scores", key=("session_id", "part"), where="session_id = :id"),
            table("drafts", key="id", where="session_id = :id"),
        ),
        version="1",
    )
    def score(_session: Any) -> None:
        """Nobody is called here: the suite writes what a service would."""

    return score.spec


async def called(harness: Harness, session: int) -> None:
    """What the service does: a row is new, one is changed, one is gone."""
    await harness.sql(
        f"INSERT INTO scores VALUES ({session}, 'new', '1')",
        f"UPDATE scores SET score = '9' WHERE session_id = {session} AND part = 'old'",
        f"DELETE FROM drafts WHERE session_id = {session}",
    )


async def taken(store: Store, run: Run, spec: Spec, **terms: Any) -> tuple[Lease, Page]:
    """The next unit, and its page."""
    lease = await claim_one(store, run, spec, **terms)
    return lease, await store.read(spec, lease)


async def scored(harness: Harness, store: Store) -> tuple[Spec, Run]:
    """Both sessions scored by the service, in a run of its own."""
    await harness.sql(*TABLES)
    spec = scores_spec()
    run = await begin(store, spec)
    for session in (1, 2):
        lease, page = await taken(store, run, spec)
        await store.note_before(spec, lease, page)
        await called(harness, session)
        assert await store.note_after(spec, lease, page) == 3
        await process(store, spec, lease, lambda _unit: [])
    return spec, run


async def everything(harness: Harness) -> list[list[tuple[Any, ...]]]:
    """The rows of the service's tables."""
    return [await harness.fetch(query) for query in ALL]


class Touching:
    """P3 for rows that a service writes when it is called for a unit."""

    async def test_what_a_service_wrote_is_counted_and_taken_back(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: by table and by what it did; a dry run says the same and writes nothing."""
        await harness.sql(*TABLES)
        before = await everything(harness)
        await harness.sql("DROP TABLE scores", "DROP TABLE drafts", "DROP TABLE sessions")
        _, run = await scored(harness, store)
        after = await everything(harness)
        one, two = await store.touched(run.id)
        assert [one.unit, two.unit] == [(1,), (2,)]
        assert {t.table: (t.inserted, t.changed, t.deleted) for t in one.tables} == {
            "scores": (1, 1, 0),
            "drafts": (0, 0, 1),
        }
        assert (await store.untouch(run, (2,), LOOKED)).rows == 3
        assert await everything(harness) == after
        for unit in (two.unit, one.unit):
            done = await store.untouch(run, unit, TAKEN_BACK)
            assert (done.rows, done.left) == (3, ())
        assert await everything(harness) == before
        assert (await store.untouch(run, (1,), TAKEN_BACK)).units == 0, "it is done"
        assert all(unit.undone for unit in await store.touched(run.id))
        assert [unit.left for unit in await store.touched(run.id)] == [0, 0]

    async def test_the_first_look_is_kept_however_often_a_unit_is_tried(
        self, harness: Harness, store: Store
    ) -> None:
        """P1, P3: what a call wrote that was not heard of is what the next one finds there."""
        await harness.sql(*TABLES)
        before = await everything(harness)
        spec = scores_spec()
        run = await begin(store, spec)
        lease, page = await taken(store, run, spec, lease_for=OVER)
        await store.note_before(spec, lease, page)
        await called(harness, 1)
        again, page = await taken(store, run, spec)
        await store.note_before(spec, again, page)
        with pytest.raises(Fenced):
            await store.note_after(spec, lease, page)
        with pytest.raises(Fenced):
            await store.note_before(spec, lease, page)
        (unseen,) = await store.touched(run.id)
        assert unseen.seen is None
        (left,) = (await store.untouch(run, (1,), LOOKED)).left
        assert (left.unit, left.key) == ((1,), ())
        assert await store.note_after(spec, again, page) == 3
        await store.untouch(run, (1,), TAKEN_BACK)
        assert await everything(harness) == before

    async def test_a_unit_knows_how_often_it_was_taken_back(
        self, harness: Harness, store: Store
    ) -> None:
        """P5: what was answered then is not an answer for the next call."""
        spec, run = await scored(harness, store)
        await store.untouch(run, (1,), TAKEN_BACK)
        await finish(store, run)
        again = await begin(store, spec, run="run-2")
        lease, page = await taken(store, again, spec)
        assert list(page.keys) == [(1,)], "it is pending again"
        assert await store.note_before(spec, lease, page) == 1

    async def test_rows_that_do_not_exist_for_it_are_neither_chunks_nor_units(
        self, harness: Harness, store: Store
    ) -> None:
        """A claim and a transaction for each row of a big table would cost more than the calls."""
        await harness.sql(*TABLES)
        rows = ", ".join(f"({n}, 'old')" for n in range(3, 60))
        await harness.sql(f"INSERT INTO sessions VALUES {rows}", "UPDATE sessions SET title = 'x'")
        await harness.sql("UPDATE sessions SET title = 'score me' WHERE id IN (7, 31)")
        spec = replace(scores_spec(), where="title = 'score me'")
        run = await begin(store, spec)
        asked = []
        while leases := await claim(store, run, spec, count=5):
            for lease in leases:
                page = await store.read(spec, lease)
                asked.append(list(page.keys))
                await process(store, spec, lease, lambda _unit: [])
        assert asked == [[(7,)], [(31,)]]
        assert {unit.key for unit in await store.units(run.id)} == {(7,), (31,)}
        await finish(store, run)
        await harness.sql("UPDATE sessions SET title = 'score me' WHERE id = 40")
        again = await begin(store, spec, run="run-2")
        (lease,) = await claim(store, again, spec, count=5)
        assert list((await store.read(spec, lease)).keys) == [(40,)], "what is done is passed over"

    async def test_a_condition_that_covers_more_than_a_unit_is_refused(
        self, harness: Harness, store: Store
    ) -> None:
        """A slip in it would image a whole table at every call."""
        await harness.sql(*TABLES)
        rows = ", ".join(f"({1000 + n}, 1, 'x')" for n in range(1_001))
        await harness.sql(f"INSERT INTO drafts VALUES {rows}")
        spec = scores_spec()
        run = await begin(store, spec)
        lease, page = await taken(store, run, spec)
        with pytest.raises(TargetError, match="too many rows"):
            await store.note_before(spec, lease, page)
        assert await store.touched(run.id) == []

    async def test_what_stands_in_the_way_is_told_and_whether_the_row_still_holds(
        self, harness: Harness, store: Store
    ) -> None:
        """P3, P4: somebody's change does not hold; a row that others refer to does."""
        _, run = await scored(harness, store)
        await harness.sql(
            "CREATE TABLE appeals (session_id INTEGER, part TEXT, "
            "FOREIGN KEY (session_id, part) REFERENCES scores (session_id, part))",
            "INSERT INTO appeals VALUES (1, 'new')",
            "UPDATE scores SET score = 'mine' WHERE session_id = 1 AND part = 'old'",
            "INSERT INTO drafts VALUES (10, 1, 'another')",
        )
        seen = await store.untouch(run, (1,), LOOKED)
        assert {row.key: row.holds for row in seen.left} == {
            ("1", "new"): True,
            ("1", "old"): False,
            ("10",): False,
        }
        await store.untouch(run, (1,), TAKEN_BACK)
        one, _ = await store.touched(run.id)
        assert (one.undone, one.rows, one.left) == (True, 3, 3)

    async def test_images_are_forgotten_by_unit(self, harness: Harness, store: Store) -> None:
        """P3: the others stay, and a rollback lists what it knows no more."""
        _, run = await scored(harness, store)
        assert await store.forget_touched(run.id, units=[(2,), (99,)]) == 3
        assert await store.forget_touched(run.id, units=[(2,)]) == 0
        assert [unit.pruned for unit in await store.touched(run.id)] == [False, True]
        gone = await store.untouch(run, (2,), LOOKED)
        assert (gone.rows, [row.key for row in gone.left]) == (0, [(), (), ()])
        assert (await store.untouch(run, (1,), TAKEN_BACK)).rows == 3
        assert await store.forget_touched(run.id) == 0, "what was undone is lost to nobody"
        assert all(unit.pruned for unit in await store.touched(run.id))

    async def test_images_are_forgotten_by_a_touched_rows_own_key(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: the other rows of its unit can still be taken back."""
        _, run = await scored(harness, store)
        assert await store.forget_touched(run.id, table="scores", keys=[("1", "old")]) == 1
        assert await store.forget_touched(run.id, table="drafts") == 2
        one = await store.untouch(run, (1,), TAKEN_BACK)
        assert [(t.table, t.rows) for t in one.tables] == [("scores", 1)]
        assert sorted(row.table for row in one.left) == ["drafts", "scores"]
        stands = "SELECT part, score FROM scores WHERE session_id = 1"
        assert await harness.fetch(stands) == [("old", "9")]

    async def test_without_its_first_look_a_unit_takes_nothing_for_new(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: what stood there before must not be deleted by an undo because its image is gone."""
        await harness.sql(*TABLES)
        spec = scores_spec()
        run = await begin(store, spec)
        lease, page = await taken(store, run, spec)
        await store.note_before(spec, lease, page)
        await store.forget_touched(run.id)
        await called(harness, 1)
        stands = await everything(harness)
        assert await store.note_after(spec, lease, page) == 0
        await store.untouch(run, (1,), TAKEN_BACK)
        assert await everything(harness) == stands
