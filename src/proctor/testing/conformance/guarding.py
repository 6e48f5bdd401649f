"""What happens to rows that somebody else touches between our read and our write."""

from __future__ import annotations

from typing import Any

from proctor.model import Bucket, Guard, KeyPart, Outcome, Row, Source, Span
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    TERMS,
    answered,
    begin,
    books,
    claim_one,
    items_spec,
    lower,
    make_items,
    process,
    work,
)
from proctor.testing.conformance.harness import Harness

ABOUT = "CREATE TABLE about (item INTEGER PRIMARY KEY, normal TEXT, version TEXT, kept TEXT)"
ABOUT_SPEC = items_spec(into="about", into_key=("item",))


class Guarding:
    """Nothing that changed since it was read is overwritten: it is read and computed again."""

    async def test_a_read_tells_once_when_the_target_has_answered(
        self, harness: Harness, store: Store
    ) -> None:
        """Whoever waits for a turn at the target is let in then, and not a moment too soon."""
        await make_items(harness, range(1, 4))
        told: list[str] = []
        run = await begin(store, items_spec())
        lease = await claim_one(store, run, items_spec())
        page = await store.read(items_spec(), lease, answered=lambda: told.append("answered"))
        assert (told, len(page.keys)) == (["answered"], 3)

    async def test_a_row_that_changed_is_read_and_computed_again(
        self, harness: Harness, store: Store
    ) -> None:
        """The others of its chunk are written; it comes back as a chunk of its own."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql("UPDATE items SET style = 'Edited' WHERE id = 2")
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        assert applied.outcome == Outcome(read=2, written=2)
        assert applied.retry is not None
        assert applied.retry.chunk.keys == ((2,),)
        assert applied.retry.chunk.attempt == 2
        assert applied.retry.worker == lease.worker
        assert await harness.fetch("SELECT normal FROM items WHERE id = 2") == [(None,)]
        await process(store, spec, applied.retry)
        assert await harness.fetch("SELECT normal FROM items WHERE id = 2") == [("edited",)]
        assert await books(store, run) == Outcome(read=3, written=3)

    async def test_what_was_prepared_ahead_is_guarded_no_less(
        self, harness: Harness, store: Store
    ) -> None:
        """Preparing touches nothing, and what changes after it is not overwritten either."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        settled = await store.prepare(spec, answered(await store.read(spec, lease), spec))
        assert await harness.fetch("SELECT count(normal) FROM items") == [(0,)]
        await harness.sql("UPDATE items SET style = 'Edited' WHERE id = 2")
        applied = await store.apply(spec, lease, settled, TERMS)
        assert applied.retry is not None
        assert applied.retry.chunk.keys == ((2,),)
        again = answered(await store.read(spec, applied.retry), spec)
        await store.apply(spec, applied.retry, await store.prepare(spec, again), TERMS)
        assert await harness.fetch("SELECT normal FROM items ORDER BY id") == [
            ("style 1",),
            ("edited",),
            ("style 3",),
        ]
        assert await books(store, run) == Outcome(read=3, written=3)

    async def test_a_row_that_keeps_changing_is_conflicted(
        self, harness: Harness, store: Store
    ) -> None:
        """After so many attempts it is left alone and listed, and its last change stands."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        for attempt in range(1, TERMS.attempts + 1):
            page = await store.read(spec, lease)
            await harness.sql(f"UPDATE items SET style = 'Edit {attempt}' WHERE id = 2")
            applied = await store.apply(spec, lease, answered(page, spec), TERMS)
            if applied.retry is not None:
                lease = applied.retry
        assert applied.retry is None
        assert applied.outcome == Outcome(read=1, conflicted=1)
        assert await books(store, run) == Outcome(read=2, written=1, conflicted=1)
        (issue,) = await store.issues(run.id)
        assert (issue.key, issue.bucket) == ((2,), Bucket.CONFLICTED)
        assert await harness.fetch("SELECT style, normal FROM items WHERE id = 2") == [
            (f"Edit {TERMS.attempts}", None)
        ]

    async def test_an_edit_of_the_fill_itself_is_not_overwritten(
        self, harness: Harness, store: Store
    ) -> None:
        """Somebody filled the field first: theirs stands, and the row is gone from our set."""
        await make_items(harness, [1, 2])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql("UPDATE items SET normal = 'theirs' WHERE id = 2")
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        if applied.retry is not None:
            await process(store, spec, applied.retry)
        assert await books(store, run) == Outcome(read=2, written=1, gone=1)
        assert await harness.fetch("SELECT normal FROM items WHERE id = 2") == [("theirs",)]

    async def test_deleted_rows_and_rows_whose_key_changed_are_gone(
        self, harness: Harness, store: Store
    ) -> None:
        """A write never brings back what somebody took away."""
        await make_items(harness, [1, 2, 3])
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql("DELETE FROM items WHERE id = 1", "UPDATE items SET id = 9 WHERE id = 2")
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        assert applied.outcome == Outcome(read=3, written=1, gone=2)
        assert await harness.fetch("SELECT id, normal FROM items ORDER BY id") == [
            (3, "style 3"),
            (9, None),
        ]
        assert await books(store, run) == applied.outcome

    async def test_the_same_bytes_in_another_type_count_as_a_change(
        self, harness: Harness, store: Store
    ) -> None:
        """Equal is not the same: 1 and 1.0 differ, and so do two spellings of one number."""
        await harness.sql(
            f"CREATE TABLE items (id INTEGER PRIMARY KEY, style {harness.json_type}, normal TEXT)",
            """INSERT INTO items VALUES (1, '{"n": 1}', NULL)""",
        )
        spec = items_spec()
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql("""UPDATE items SET style = '{"n": 1.0}'""")
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        assert applied.outcome == Outcome()
        assert applied.retry is not None

    async def test_a_derived_table_is_filled_by_update_or_by_insert(
        self, harness: Harness, store: Store
    ) -> None:
        """Rows that exist keep their other columns; rows that do not are made whole."""
        await make_items(harness, [1, 2, 3])
        await harness.sql(
            ABOUT,
            "INSERT INTO about VALUES (1, NULL, NULL, 'mine')",
            "INSERT INTO about VALUES (3, 'done', '1', 'mine')",
        )
        spec = items_spec(into="about", into_key=("item",), stamp="version")
        run = await begin(store, spec)
        assert run.target.endswith("about")
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        assert list(page.keys) == [(1,), (2,)]
        assert [images is None for images in page.images] == [False, True]
        await store.apply(spec, lease, answered(page, spec), TERMS)
        assert await harness.fetch("SELECT * FROM about ORDER BY item") == [
            (1, "style 1", "1", "mine"),
            (2, "style 2", "1", None),
            (3, "done", "1", "mine"),
        ]
        assert await books(store, run) == Outcome(read=2, written=2)

    async def test_a_half_filled_row_is_never_inserted(
        self, harness: Harness, store: Store
    ) -> None:
        """A null fill may update a row that is there, but makes no new one."""
        await make_items(harness, [1, 2])
        await harness.sql(ABOUT, "INSERT INTO about VALUES (1, 'old', NULL, NULL)")
        spec = items_spec(
            into="about", into_key=("item",), fills=("normal", "kept"), missing="kept IS NULL"
        )

        def answer(row: Row) -> Any:
            return (None, lower(row))

        run = await begin(store, spec)
        assert await work(store, run, spec, answer) == Outcome(read=2, written=1, failed=1)
        assert await harness.fetch("SELECT * FROM about") == [(1, None, None, "style 1")]

    async def test_a_row_that_appeared_meanwhile_is_not_clobbered(
        self, harness: Harness, store: Store
    ) -> None:
        """The guard of an insert is that the row is still absent."""
        await make_items(harness, [1, 2])
        await harness.sql(ABOUT)
        run = await begin(store, ABOUT_SPEC)
        lease = await claim_one(store, run, ABOUT_SPEC)
        page = await store.read(ABOUT_SPEC, lease)
        await harness.sql("INSERT INTO about VALUES (2, NULL, NULL, 'theirs')")
        applied = await store.apply(ABOUT_SPEC, lease, answered(page, ABOUT_SPEC), TERMS)
        assert applied.outcome == Outcome(read=1, written=1)
        assert applied.retry is not None
        assert applied.retry.chunk.keys == ((2,),)
        assert await harness.fetch("SELECT normal, kept FROM about WHERE item = 2") == [
            (None, "theirs")
        ]
        await process(store, ABOUT_SPEC, applied.retry)
        assert await harness.fetch("SELECT normal, kept FROM about WHERE item = 2") == [
            ("style 2", "theirs")
        ]
        assert await books(store, run) == Outcome(read=2, written=2)

    async def test_source_and_target_are_both_guarded(self, harness: Harness, store: Store) -> None:
        """A change of either since the read sends the row back."""
        await make_items(harness, [1, 2, 3, 4, 5])
        there = "INSERT INTO about VALUES (1, NULL, 'a', NULL), (5, NULL, 'a', NULL)"
        await harness.sql(ABOUT, there)
        spec = items_spec(into="about", into_key=("item",), stamp="version")
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql(
            "UPDATE about SET version = 'b' WHERE item = 1",
            "UPDATE items SET style = 'Edited' WHERE id IN (2, 5)",
            "DELETE FROM items WHERE id = 3",
        )
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        assert applied.outcome == Outcome(read=2, written=1, gone=1)
        assert applied.retry is not None
        assert applied.retry.chunk.keys == ((1,), (2,), (5,))
        await process(store, spec, applied.retry)
        assert await harness.fetch("SELECT item, normal FROM about ORDER BY item") == [
            (1, "style 1"),
            (2, "edited"),
            (4, "style 4"),
            (5, "edited"),
        ]

    async def test_rows_of_a_query_fill_another_table(self, harness: Harness, store: Store) -> None:
        """A query is scanned by its key; parameters are bound inside it too."""
        await make_items(harness, range(1, 8))
        await harness.sql(ABOUT)
        spec = items_spec(
            kind=Source.QUERY,
            source="SELECT id AS item_id, style FROM items WHERE id > :low",
            key=(KeyPart(column="item_id", descending=True),),
            into="about",
            into_key=("item",),
            guard=Guard.TARGET,
            params=(("low", 2),),
        )
        run = await begin(store, spec, span=Span(stop=(4,)))
        assert await work(store, run, spec, rows=2) == Outcome(read=4, written=4)
        assert await harness.fetch("SELECT item, normal FROM about ORDER BY item") == [
            (i, f"style {i}") for i in (4, 5, 6, 7)
        ]

    async def test_the_target_of_a_query_is_guarded(self, harness: Harness, store: Store) -> None:
        """With guard="target" a change of the target row sends the row back."""
        await make_items(harness, [1, 2])
        await harness.sql(ABOUT, "INSERT INTO about VALUES (1, NULL, 'a', NULL)")
        spec = items_spec(
            kind=Source.QUERY,
            source="SELECT id, style FROM items",
            into="about",
            into_key=("item",),
            stamp="version",
            guard=Guard.TARGET,
        )
        run = await begin(store, spec)
        lease = await claim_one(store, run, spec)
        page = await store.read(spec, lease)
        await harness.sql(
            "UPDATE about SET version = 'b' WHERE item = 1",
            "UPDATE items SET style = 'Edited' WHERE id = 2",
        )
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        assert applied.outcome == Outcome(read=1, written=1)
        assert applied.retry is not None
        assert applied.retry.chunk.keys == ((1,),)

    async def test_columns_to_preserve_keep_their_values(
        self, harness: Harness, store: Store
    ) -> None:
        """A row is written only if a trigger leaves the preserved column as it was."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT, touched INTEGER)",
            "INSERT INTO items VALUES (1, 'A', NULL, 7), (2, 'B', NULL, NULL)",
        )
        await harness.stamp_writes("items", "touched")
        spec = items_spec(preserve=("touched",))
        run = await begin(store, spec)
        outcome = await work(store, run, spec)
        assert outcome.read == outcome.written + outcome.failed == 2
        found = await harness.fetch("SELECT id, normal IS NULL, touched FROM items ORDER BY id")
        assert [touched for _, _, touched in found] == [7, None]
        assert sum(not unwritten for _, unwritten, _ in found) == outcome.written

    async def test_after_images_hold_what_triggers_left(
        self, harness: Harness, store: Store
    ) -> None:
        """A trigger that changes the filled field again does not hide the row from undo."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal INTEGER)",
            "INSERT INTO items VALUES (1, '90', 40)",
        )
        await harness.stamp_writes("items", "normal")
        spec = items_spec(missing="1 = 1")
        run = await begin(store, spec)
        await work(store, run, spec, lambda row: int(row["style"]))
        (now,) = (await harness.fetch("SELECT normal FROM items"))[0]
        (number,) = [c.chunk.number for c in await store.chunks(run.id)]
        seen = await store.verify(run, number)
        assert (seen.written, seen.restored, seen.changed) == (1, 1, 0)
        assert now == 41, "the trigger must leave something else than what was written"
