"""What taking back means in any store: exactly what was there, and nobody else's work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from proctor.model import ABSENT, Key, Outcome, Row, Run, RunState, Span, Undone
from proctor.ports import Store, UndoTerms
from proctor.testing.conformance.acting import (
    begin,
    claim,
    every_script,
    filled,
    finish,
    items_spec,
    make_items,
    process,
    roll_back,
    work,
)
from proctor.testing.conformance.guarding import ABOUT, ABOUT_SPEC
from proctor.testing.conformance.harness import Harness

ALL = UndoTerms()
ROWS = "SELECT * FROM items ORDER BY id"
LONG = 10_000_000
"""Bytes of UTF-8 in a long text of two bytes a character."""


async def undo_all(store: Store, run: Run, terms: UndoTerms = ALL) -> Undone:
    """Undo every chunk of a run, newest first; the books of all, which must balance."""
    total = Undone()
    for record in reversed(await store.chunks(run.id)):
        done = await store.undo(run, record.chunk.number, terms)
        assert done.balances
        total += done
    return total


def books_of(undone: Undone) -> tuple[int, int, int, int, int]:
    """Written, restored, changed, gone, blocked."""
    return (undone.written, undone.restored, undone.changed, undone.gone, undone.blocked)


class Undoing:
    """Undo restores what was there, leaves what others changed, and can be asked twice."""

    async def test_texts_of_ten_megabytes_go_there_and_back(
        self, harness: Harness, store: Store
    ) -> None:
        """Read, written, imaged, verified and restored whole, over an old value as long."""
        await make_items(harness, [1, 2, 3])
        styles, olds = ["É", "S"], ["ö", None]
        for i, (style, old) in enumerate(zip(styles, olds, strict=True), 1):
            await harness.sql(f"UPDATE items SET style = '{style * (LONG // 2)}' WHERE id = {i}")
            if old is not None:
                await harness.sql(f"UPDATE items SET normal = '{old * (LONG // 2)}' WHERE id = {i}")
        before = await harness.fetch(ROWS)
        run = await filled(store, items_spec(missing="true"))
        held = await harness.fetch("SELECT normal FROM items ORDER BY id")
        assert held == [("é" * (LONG // 2),), ("s" * (LONG // 2),), ("style 3",)]
        verified = [await store.verify(run, c.chunk.number) for c in await store.chunks(run.id)]
        assert sum(v.restored for v in verified) == 3
        run = await roll_back(store, run)
        assert books_of(await undo_all(store, run)) == (3, 3, 0, 0, 0)
        assert await harness.fetch(ROWS) == before

    async def test_undo_restores_every_row_exactly(self, harness: Harness, store: Store) -> None:
        """Nulls, old values, stamps: the table is what it was before the run."""
        await make_items(harness, range(1, 24))
        await harness.sql(
            "UPDATE items SET normal = '', note = 'x' WHERE id % 3 = 0",
            "UPDATE items SET normal = 'näïve 😀 ''q''', note = '0' WHERE id % 5 = 0",
        )
        before = await harness.fetch(ROWS)
        spec = items_spec(stamp="note")
        run = await filled(store, spec)
        assert await harness.fetch(ROWS) != before
        run = await roll_back(store, run)
        assert books_of(await undo_all(store, run)) == (23, 23, 0, 0, 0)
        assert await harness.fetch(ROWS) == before
        assert all(c.undone for c in await store.chunks(run.id))
        run = await store.move(run.id, RunState.ROLLED_BACK, among=[RunState.ROLLING_BACK])
        assert run.outcome == Outcome(read=23, written=23)

    async def test_undo_can_be_asked_twice(self, harness: Harness, store: Store) -> None:
        """After doubt it is simply asked again: the second time there is nothing to do."""
        await make_items(harness, [1, 2])
        run = await roll_back(store, await filled(store, items_spec()))
        assert books_of(await undo_all(store, run)) == (2, 2, 0, 0, 0)
        await harness.sql("UPDATE items SET normal = 'new life'")
        assert books_of(await undo_all(store, run)) == (0, 0, 0, 0, 0)
        assert await harness.fetch("SELECT DISTINCT normal FROM items") == [("new life",)]

    async def test_rows_that_others_changed_or_deleted_are_left_alone_and_listed(
        self, harness: Harness, store: Store
    ) -> None:
        """A change of another column does not count: only the fields that were written do."""
        await make_items(harness, [1, 2, 3, 4])
        run = await roll_back(store, await filled(store, items_spec()))
        await harness.sql(
            "UPDATE items SET normal = 'theirs' WHERE id = 1",
            "DELETE FROM items WHERE id = 2",
            "UPDATE items SET note = 'beside' WHERE id = 3",
        )
        done = await undo_all(store, run)
        assert books_of(done) == (4, 2, 1, 1, 0)
        assert {i.key for i in done.left} == {(1,), (2,)}
        assert all(i.reason for i in done.left)
        assert await harness.fetch("SELECT id, normal, note FROM items ORDER BY id") == [
            (1, "theirs", None),
            (3, None, "beside"),
            (4, None, None),
        ]

    async def test_a_dry_run_of_undo_says_the_same_and_writes_nothing(
        self, harness: Harness, store: Store
    ) -> None:
        """The forecast's books are those of the undo that follows."""
        await make_items(harness, [1, 2, 3])
        run = await roll_back(store, await filled(store, items_spec()))
        await harness.sql("UPDATE items SET normal = 'theirs' WHERE id = 1")
        before = await harness.dump()
        forecast = await undo_all(store, run, UndoTerms(dry_run=True))
        assert await harness.dump() == before
        done = await undo_all(store, run)
        assert books_of(forecast) == books_of(done) == (3, 2, 1, 0, 0)

    async def test_a_part_is_undone_by_range_and_by_keys(
        self, harness: Harness, store: Store
    ) -> None:
        """What was asked for is undone once; the rest can still be undone later."""
        await make_items(harness, range(1, 11))
        run = await roll_back(store, await filled(store, items_spec()))
        part = UndoTerms(span=Span(start=(3,), stop=(5,)))
        assert books_of(await undo_all(store, run, part)) == (3, 3, 0, 0, 0)
        assert books_of(await undo_all(store, run, part)) == (0, 0, 0, 0, 0)
        keys = UndoTerms(span=Span(keys=((9,), (4,), (77,))))
        assert books_of(await undo_all(store, run, keys)) == (1, 1, 0, 0, 0)
        left = await harness.fetch("SELECT id FROM items WHERE normal IS NOT NULL ORDER BY id")
        assert [i for (i,) in left] == [1, 2, 6, 7, 8, 10]
        (record,) = await store.chunks(run.id)
        assert not record.undone
        assert await store.written_keys(run, record.chunk.number) == [(i,) for (i,) in left]
        assert books_of(await undo_all(store, run)) == (6, 6, 0, 0, 0)
        assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]

    async def test_rows_that_a_part_left_alone_can_be_asked_for_again(
        self, harness: Harness, store: Store
    ) -> None:
        """A part forgets only what it restored; undoing the whole run settles every row."""
        await harness.sql(
            "CREATE TABLE names (name TEXT PRIMARY KEY)",
            "INSERT INTO names VALUES ('old'), ('kept'), ('new'), ('theirs')",
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, "
            "normal TEXT REFERENCES names (name))",
            "INSERT INTO items VALUES (1, 'A', 'old'), (2, 'B', 'kept'), (3, 'C', 'kept'), "
            "(4, 'D', 'kept'), (5, 'E', 'kept')",
        )
        spec = items_spec(missing="normal <> 'new'")
        run = await roll_back(store, await filled(store, spec, lambda _row: "new"))
        await harness.sql(
            "DELETE FROM names WHERE name = 'old'",  # row 1 cannot go back
            "UPDATE items SET normal = 'theirs' WHERE id = 2",
            "DELETE FROM items WHERE id = 3",
        )
        part = UndoTerms(span=Span(start=(1,), stop=(4,)))
        assert books_of(await undo_all(store, run, part)) == (4, 1, 1, 1, 1)
        (record,) = await store.chunks(run.id)
        assert not record.undone
        assert await store.written_keys(run, record.chunk.number) == [(1,), (2,), (3,), (5,)]
        assert books_of(await undo_all(store, run, part)) == (3, 0, 1, 1, 1)
        await harness.sql(
            "INSERT INTO names VALUES ('old')", "UPDATE items SET normal = 'new' WHERE id = 2"
        )
        since = UndoTerms(since=datetime.now(UTC) - timedelta(days=1))
        assert books_of(await undo_all(store, run, since)) == (4, 3, 0, 1, 0)
        assert await store.written_keys(run, record.chunk.number) == [(3,)]
        assert books_of(await undo_all(store, run)) == (1, 0, 0, 1, 0)
        (record,) = await store.chunks(run.id)
        assert record.undone
        assert await harness.fetch("SELECT id, normal FROM items ORDER BY id") == [
            (1, "old"),
            (2, "kept"),
            (4, "kept"),
            (5, "kept"),
        ]

    async def test_chunks_before_a_moment_are_left_alone(
        self, harness: Harness, store: Store
    ) -> None:
        """`since` undoes what was written from a moment on."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        for _ in range(2):
            (lease,) = await claim(store, run, spec, rows=1)
            await process(store, spec, lease)
        run = await roll_back(store, await finish(store, run))
        applied = [c.applied for c in await store.chunks(run.id)]
        assert applied[1] is not None
        later = UndoTerms(since=datetime.now(UTC) + timedelta(days=1))
        assert books_of(await undo_all(store, run, later)) == (0, 0, 0, 0, 0)
        second = UndoTerms(since=applied[1])
        assert books_of(await undo_all(store, run, second)) == (1, 1, 0, 0, 0)
        assert await harness.fetch("SELECT id FROM items WHERE normal IS NULL") == [(2,)]

    async def test_inserted_rows_are_deleted_again(self, harness: Harness, store: Store) -> None:
        """Unless anything of them changed, or another row refers to them."""
        await make_items(harness, range(1, 6))
        await harness.sql(
            ABOUT,
            "CREATE TABLE fans (id INTEGER PRIMARY KEY, item INTEGER REFERENCES about (item) "
            "ON DELETE CASCADE)",
            "INSERT INTO about VALUES (1, NULL, NULL, 'mine')",
        )
        run = await roll_back(store, await filled(store, ABOUT_SPEC))
        await harness.sql(
            "UPDATE about SET kept = 'theirs' WHERE item = 2",
            "DELETE FROM about WHERE item = 3",
            "INSERT INTO fans VALUES (1, 4)",
        )
        forecast = await undo_all(store, run, UndoTerms(dry_run=True))
        done = await undo_all(store, run)
        assert books_of(forecast) == books_of(done) == (5, 2, 1, 1, 1)
        assert await harness.fetch("SELECT item, normal, kept FROM about ORDER BY item") == [
            (1, None, "mine"),
            (2, "style 2", "theirs"),
            (4, "style 4", None),
        ]
        assert await harness.fetch("SELECT * FROM fans") == [(1, 4)]

    async def test_an_inserted_row_is_kept_where_a_later_column_holds_somebodys_value(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: a column that was added since is in no image; its default is nobody's value."""
        await make_items(harness, range(1, 5))
        await harness.sql(ABOUT)
        run = await roll_back(store, await filled(store, ABOUT_SPEC))
        await harness.sql(
            "ALTER TABLE about ADD COLUMN votes INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE about ADD COLUMN mood TEXT",
            "ALTER TABLE about ADD COLUMN shown TEXT DEFAULT 'x''y'",
            "UPDATE about SET votes = 7 WHERE item = 1",
            "UPDATE about SET mood = 'good' WHERE item = 2",
            "UPDATE about SET shown = 'X''y' WHERE item = 3",
        )
        forecast = await undo_all(store, run, UndoTerms(dry_run=True))
        text = await every_script(store, run)
        done = await undo_all(store, run)
        assert books_of(forecast) == books_of(done) == (4, 1, 3, 0, 0)
        assert [i.key for i in done.left] == [(1,), (2,), (3,)]
        left = "SELECT item, votes, mood, shown FROM about ORDER BY item"
        kept = [(1, 7, None, "x'y"), (2, 0, "good", "x'y"), (3, 0, None, "X'y")]
        assert await harness.fetch(left) == kept
        await harness.script(text)
        assert await harness.fetch(left) == kept

    async def test_rows_that_the_server_will_not_take_back_are_blocked(
        self, harness: Harness, store: Store
    ) -> None:
        """A constraint that came later costs the rows that it forbids, not the chunk."""
        await harness.sql(
            "CREATE TABLE names (name TEXT PRIMARY KEY)",
            "INSERT INTO names VALUES ('old'), ('older'), ('new')",
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, "
            "normal TEXT REFERENCES names (name))",
            "INSERT INTO items VALUES (1, 'A', 'old'), (2, 'B', 'older'), (3, 'C', 'old')",
        )
        spec = items_spec(missing="normal <> 'new'")
        run = await roll_back(store, await filled(store, spec, lambda _row: "new"))
        await harness.sql("DELETE FROM names WHERE name = 'older'")
        done = await undo_all(store, run)
        assert books_of(done) == (3, 2, 0, 0, 1)
        assert [i.key for i in done.left] == [(2,)]
        assert await harness.fetch("SELECT id, normal FROM items ORDER BY id") == [
            (1, "old"),
            (2, "new"),
            (3, "old"),
        ]

    async def test_a_place_in_anything_but_an_object_fails_its_row(
        self, harness: Harness, store: Store
    ) -> None:
        """P3: lists and plain values have no places, and what cannot be undone is not written."""
        await harness.sql(
            f"CREATE TABLE docs (id INTEGER PRIMARY KEY, doc {harness.json_type})",
            """INSERT INTO docs VALUES (1, '{}'), (2, '[1]'), (3, '[1, 2]'), (4, '7')""",
            """INSERT INTO docs VALUES (5, '{"5": [1]}'), (6, '{"5": {}}'), (7, '{"5": null}')""",
        )
        before = await harness.fetch("SELECT * FROM docs ORDER BY id")
        spec = items_spec(source="docs", fills=("doc.5.1", "doc.6"), missing="1 = 1")
        run = await begin(store, spec)
        outcome = await work(store, run, spec, lambda _row: ("z", "z"))
        assert outcome == Outcome(read=7, written=2, failed=5)
        issues = await store.issues(run.id)
        assert [i.key for i in issues] == [(2,), (3,), (4,), (5,), (7,)]
        assert all("JSON" in i.reason for i in issues)
        run = await roll_back(store, await finish(store, run))
        assert (await undo_all(store, run)).restored == 2
        assert await harness.fetch("SELECT * FROM docs ORDER BY id") == before

    async def test_a_nested_field_is_undone_at_its_path(
        self, harness: Harness, store: Store
    ) -> None:
        """What others changed beside it in the document stays; what was absent is absent again."""
        await harness.sql(
            f"CREATE TABLE docs (id INTEGER PRIMARY KEY, doc {harness.json_type})",
            """INSERT INTO docs VALUES (1, '{"a": 1}'), (2, '{"normal": null, "a": 2.0}')""",
            """INSERT INTO docs VALUES (3, '{"a": 3}'), (4, NULL), (5, '{"a": 5}')""",
        )
        before = await harness.fetch("SELECT * FROM docs ORDER BY id")
        spec = items_spec(source="docs", fills=("doc.normal",))
        run = await begin(store, spec)

        def answer(row: Row) -> Any:
            return [f"v{row['id']}"]

        outcome = await work(store, run, spec, answer)
        assert outcome.read == 5
        run = await roll_back(store, await finish(store, run))
        beside = """'{"a": 33, "normal": ["v3"]}'"""
        theirs = """'{"a": 5, "normal": ["theirs"]}'"""
        await harness.sql(
            f"UPDATE docs SET doc = {beside} WHERE id = 3",
            f"UPDATE docs SET doc = {theirs} WHERE id = 5",
        )
        done = await undo_all(store, run)
        assert (done.changed, done.gone, done.blocked) == (1, 0, 0)
        after = await harness.fetch("SELECT * FROM docs ORDER BY id")
        assert [r for r in after if r[0] in (1, 2, 4)] == [r for r in before if r[0] in (1, 2, 4)]
        page = await store.read_keys(spec, [(3,), (5,)])
        assert page.images[0] == (ABSENT,)
        assert page.rows[0]["doc"] == {"a": 33}
        assert page.rows[1]["doc"] == {"a": 5, "normal": ["theirs"]}

    async def test_verify_says_what_still_holds(self, harness: Harness, store: Store) -> None:
        """Rows as written, changed and gone; and it writes nothing."""
        await make_items(harness, [1, 2, 3])
        run = await filled(store, items_spec())
        await harness.sql(
            "UPDATE items SET normal = 'theirs' WHERE id = 1", "DELETE FROM items WHERE id = 2"
        )
        before = await harness.dump()
        (record,) = await store.chunks(run.id)
        seen = await store.verify(run, record.chunk.number)
        assert books_of(seen) == (3, 1, 1, 1, 0)
        assert {i.key for i in seen.left} == {(1,), (2,)}
        assert await harness.dump() == before

    async def test_pruned_images_are_forgotten(self, harness: Harness, store: Store) -> None:
        """By age, by run and by key; what was forgotten can no longer be undone, and is counted."""
        await make_items(harness, range(1, 7))
        run = await filled(store, items_spec())
        long_ago = datetime.now(UTC) - timedelta(days=1)
        assert await store.prune(older_than=long_ago) == 0
        assert await store.prune(run=run.id, keys=[(2,), (77,)]) == 1
        (record,) = await store.chunks(run.id)
        keys: list[Key] = [(1,), (3,), (4,), (5,), (6,)]
        assert await store.written_keys(run, record.chunk.number) == keys
        run = await roll_back(store, run)
        part = UndoTerms(span=Span(stop=(3,)))
        assert books_of(await undo_all(store, run, part)) == (2, 2, 0, 0, 0)
        assert await store.prune(run=run.id) == 3
        assert await store.prune(run=run.id) == 0
        (record,) = await store.chunks(run.id)
        assert not record.has_undo
        assert await store.written_keys(run, record.chunk.number) == []
        assert books_of(await undo_all(store, run)) == (0, 0, 0, 0, 0)
        assert await harness.fetch("SELECT id FROM items WHERE normal IS NULL ORDER BY id") == [
            (1,),
            (3,),
        ]
