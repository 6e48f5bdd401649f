"""What one write transaction means in any store."""

from __future__ import annotations

import json

from typing import Any

import pytest

from proctor.errors import Fenced
from proctor.model import Bucket, Outcome, Row, Span
from proctor.ports import Store
from proctor.testing.conformance.acting import (
    TERMS,
    add_items,
    answered,
    begin,
    books,
    claim_one,
    items_spec,
    make_items,
    process,
    work,
)
from proctor.testing.conformance.harness import Harness


class Applying:
    """Rows are written whole or listed with a reason, and the books balance."""

    async def test_only_the_declared_fields_are_written(
        self, harness: Harness, store: Store
    ) -> None:
        """Every other column is as it was, and the outcome counts each row once."""
        await make_items(harness, [1, 2])
        run = await begin(store, items_spec())
        applied = await process(store, items_spec(), await claim_one(store, run, items_spec()))
        assert applied.outcome == Outcome(read=2, written=2)
        assert applied.retry is None
        assert applied.undo_bytes > 0
        assert await harness.fetch("SELECT * FROM items ORDER BY id") == [
            (1, "Style 1", "style 1", None),
            (2, "Style 2", "style 2", None),
        ]

    async def test_several_fields_and_the_stamp_are_written_together(
        self, harness: Harness, store: Store
    ) -> None:
        """Values come in the order of `Spec.writes`; a row of another version is eligible."""
        await make_items(harness, [1, 2, 3])
        await harness.sql(
            "UPDATE items SET normal = 'x', note = 'old' WHERE id = 1",
            "UPDATE items SET normal = 'x', note = '1' WHERE id = 2",
        )
        spec = items_spec(stamp="note")
        run = await begin(store, spec)
        assert await work(store, run, spec) == Outcome(read=2, written=2)
        assert await harness.fetch("SELECT id, normal, note FROM items ORDER BY id") == [
            (1, "style 1", "1"),
            (2, "x", "1"),
            (3, "style 3", "1"),
        ]

    async def test_where_missing_and_parameters_decide_who_is_eligible(
        self, harness: Harness, store: Store
    ) -> None:
        """Conditions are the author's SQL with bound names; a null condition is not met."""
        await make_items(harness, range(1, 8))
        await harness.sql("UPDATE items SET normal = '' WHERE id IN (2, 4, 6)")
        spec = items_spec(
            where="id > :low AND style <> ':low'",
            missing="normal = :empty",
            params=(("empty", ""), ("low", 2)),
        )
        run = await begin(store, spec)
        assert run.expected == 2
        assert await work(store, run, spec) == Outcome(read=2, written=2)
        assert await harness.fetch("SELECT id FROM items WHERE normal LIKE 's%' ORDER BY id") == [
            (4,),
            (6,),
        ]

    async def test_a_row_that_would_not_change_is_not_written(
        self, harness: Harness, store: Store
    ) -> None:
        """No trigger fires, no index entry is made; the row is counted as unchanged."""
        await make_items(harness, [1, 2, 3])
        await harness.sql("UPDATE items SET normal = 'style 2' WHERE id = 2")
        await harness.log_writes("items")
        spec = items_spec(missing="1 = 1")
        run = await begin(store, spec)
        assert await work(store, run, spec) == Outcome(read=3, written=2, unchanged=1)
        assert await harness.fetch("SELECT count(*) FROM write_log") == [(2,)]
        (issue,) = await store.issues(run.id)
        assert (issue.key, issue.bucket) == ((2,), Bucket.UNCHANGED)

    async def test_a_chunk_with_nothing_to_write_is_applied(
        self, harness: Harness, store: Store
    ) -> None:
        """Skipped rows are listed with their reason, and nothing of the table is touched."""
        await make_items(harness, [1, 2])
        await harness.log_writes("items")
        run = await begin(store, items_spec())
        assert await work(store, run, items_spec(), lambda _row: None) == Outcome(read=2, skipped=2)
        assert await harness.fetch("SELECT count(*) FROM write_log") == [(0,)]
        assert [(i.key, i.bucket, i.reason) for i in await store.issues(run.id)] == [
            ((1,), Bucket.SKIPPED, "no need"),
            ((2,), Bucket.SKIPPED, "no need"),
        ]
        assert len(await store.issues(run.id, limit=1)) == 1

    async def test_null_can_be_written(self, harness: Harness, store: Store) -> None:
        """A value of None is NULL, also over something that was there."""
        await make_items(harness, [1])
        await harness.sql("UPDATE items SET normal = 'old'")
        spec = items_spec(missing="1 = 1")
        run = await begin(store, spec)
        assert await work(store, run, spec, lambda _row: (None,)) == Outcome(read=1, written=1)
        assert await harness.fetch("SELECT normal FROM items") == [(None,)]

    @pytest.mark.parametrize(
        ("constraint", "good", "bad"),
        [
            ("CHECK (length(normal) < 20)", None, "secret " * 5),
            ("NOT NULL DEFAULT ''", None, (None,)),
            ("UNIQUE", None, "secret twice"),
            ("REFERENCES allowed (name)", "ok", "secret orphan"),
            ("REFERENCES allowed (name) DEFERRABLE INITIALLY DEFERRED", "ok", "secret orphan"),
        ],
    )
    async def test_rows_that_the_server_refuses_are_listed_and_the_rest_is_written(
        self, harness: Harness, store: Store, constraint: str, good: Any, bad: Any
    ) -> None:
        """One bad row never costs the chunk; its reason holds no value of the row."""
        await harness.sql(
            "CREATE TABLE allowed (name TEXT PRIMARY KEY)",
            "INSERT INTO allowed VALUES ('ok')",
            f"CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT {constraint})",
        )
        await add_items(harness, range(1, 21))
        if "UNIQUE" in constraint:
            await harness.sql("INSERT INTO items VALUES (99, 'S', 'secret twice')")

        def answer(row: Row) -> Any:
            if row["id"] in (3, 4, 17):
                return bad
            return good or str(row["style"]).lower()

        spec = items_spec(missing="normal IS NULL OR normal = ''")
        run = await begin(store, spec)
        assert await work(store, run, spec, answer, rows=50) == Outcome(
            read=20, written=17, failed=3
        )
        issues = [i for i in await store.issues(run.id) if i.bucket is Bucket.FAILED]
        assert sorted(i.key for i in issues) == [(3,), (4,), (17,)]
        assert all(i.reason and "secret" not in i.reason for i in issues)
        left = await harness.fetch(
            "SELECT count(*) FROM items WHERE id IN (3, 4, 17) AND (normal IS NULL OR normal = '')"
        )
        assert left == [(3,)]

    async def test_a_chunk_whose_rows_are_all_refused_is_still_applied(
        self, harness: Harness, store: Store
    ) -> None:
        """The run goes on; every row is on the list."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT "
            "CHECK (normal = 'never'))"
        )
        await add_items(harness, range(1, 6))
        run = await begin(store, items_spec())
        assert await work(store, run, items_spec()) == Outcome(read=5, failed=5)

    async def test_the_same_lease_applies_once(self, harness: Harness, store: Store) -> None:
        """A second apply is fenced: no row is written twice."""
        await make_items(harness, [1])
        run = await begin(store, items_spec())
        lease = await claim_one(store, run, items_spec())
        page = await store.read(items_spec(), lease)
        await store.apply(items_spec(), lease, answered(page, items_spec()), TERMS)
        with pytest.raises(Fenced):
            await store.apply(items_spec(), lease, answered(page, items_spec()), TERMS)
        assert await books(store, run) == Outcome(read=1, written=1)

    async def test_a_nested_field_is_written_at_its_path(
        self, harness: Harness, store: Store
    ) -> None:
        """The rest of the document stays; a missing path is made."""
        await harness.sql(
            f"CREATE TABLE docs (id INTEGER PRIMARY KEY, doc {harness.json_type})",
            """INSERT INTO docs VALUES (1, '{"a": [1, 2.50], "normal": null}')""",
            """INSERT INTO docs VALUES (2, '{"a": "x"}')""",
            """INSERT INTO docs VALUES (3, '{"normal": {"v": 1}}')""",
        )
        spec = items_spec(source="docs", fills=("doc.normal",))
        run = await begin(store, spec)
        answer: dict[str, Any] = {"style": ["été", 'q"']}
        assert await work(store, run, spec, lambda _row: answer) == Outcome(read=2, written=2)
        found = await harness.fetch("SELECT doc FROM docs ORDER BY id")
        assert [json.loads(d) if isinstance(d, str) else d for (d,) in found] == [
            {"a": [1, 2.5], "normal": answer},
            {"a": "x", "normal": answer},
            {"normal": {"v": 1}},
        ]

    async def test_expressions_run_inside_the_database(
        self, harness: Harness, store: Store
    ) -> None:
        """`sql=` has the same books, images and undo as a function."""
        await make_items(harness, range(1, 6))
        await harness.sql(
            "UPDATE items SET normal = 'style 2' WHERE id = 2",
            "UPDATE items SET normal = 'old' WHERE id = 3",
        )
        spec = items_spec(
            sql=(("normal", "lower(style) || :end"),),
            missing="note IS NULL",
            params=(("end", ""),),
        )
        run = await begin(store, spec, span=Span(stop=(4,)))
        applied = await store.apply_sql(spec, await claim_one(store, run, spec), TERMS)
        assert applied.outcome == Outcome(read=4, written=3, unchanged=1)
        assert await books(store, run) == applied.outcome
        assert await harness.fetch("SELECT normal FROM items ORDER BY id") == [
            ("style 1",),
            ("style 2",),
            ("style 3",),
            ("style 4",),
            (None,),
        ]

    async def test_rows_whose_expression_is_refused_are_listed(
        self, harness: Harness, store: Store
    ) -> None:
        """A bad row costs only itself, also inside the database."""
        await harness.sql(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT "
            "CHECK (normal <> 'style 3'))"
        )
        await add_items(harness, range(1, 8))
        spec = items_spec(sql=(("normal", "lower(style)"),))
        run = await begin(store, spec)
        applied = await store.apply_sql(spec, await claim_one(store, run, spec), TERMS)
        assert applied.outcome == Outcome(read=7, written=6, failed=1)
        (issue,) = await store.issues(run.id)
        assert issue.key == (3,)
