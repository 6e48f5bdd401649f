"""What any store answers to a metric in SQL: named whole numbers of one row, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from proctor.errors import ProctorError, TargetError, TooSlow
from proctor.ports import Store
from proctor.testing.conformance.acting import make_items
from proctor.testing.conformance.harness import Harness

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) "
    "SELECT count(*) AS total FROM n"
)


class Measuring:
    """Metrics are counts, and asking for them writes nothing."""

    async def test_figures_are_the_named_whole_numbers_of_one_row(
        self, harness: Harness, store: Store
    ) -> None:
        """Counts and sums, by the names of their columns."""
        await make_items(harness, [1, 2, 3])
        await harness.sql("UPDATE items SET normal = 'done' WHERE id > 1")
        found = await store.figures(
            "SELECT count(*) AS total, count(normal) AS events, sum(id) AS ids FROM items"
        )
        assert found == {"total": 3, "events": 2, "ids": 6}
        assert {type(value) for value in found.values()} == {int}

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ("SELECT id AS total FROM items", "one row"),
            ("SELECT id AS total FROM items WHERE id = 99", "one row"),
            ("SELECT 0.5 AS share", "whole number"),
            ("SELECT count(normal) * 1.0 / count(*) AS share FROM items", "whole number"),
            ("SELECT 'many' AS total", "whole number"),
            ("SELECT sum(id) AS total FROM items WHERE id = 99", "coalesce"),
            ('SELECT 1 AS "?"', "without a name"),
            ("SELECT 1 AS total, 2 AS total", "two columns of one name"),
            ("SELECT nothing FROM nowhere", ""),
            ("SELECT count(*) AS total FROM items WHERE id > :least", ":least"),
            ("SELECT count(*) AS total FROM items WHERE id > :since", ":since"),
        ],
        ids=str,
    )
    async def test_figures_that_are_no_counts_are_refused(
        self, harness: Harness, store: Store, wrong: str, told: str
    ) -> None:
        """No row or several, a ratio, a text, a null, no name, or a name twice."""
        await make_items(harness, [1, 2])
        with pytest.raises(TargetError) as caught:
            await store.figures(wrong)
        assert told in str(caught.value)

    @pytest.mark.parametrize(
        ("wrong", "for_good", "missing"),
        [
            ("SELECT count(*) AS total FORM items", True, False),
            ("SELECT count(*) AS total FROM itemz", True, True),
            ("SELECT count(colour) AS total FROM items", True, True),
            ("SELECT count(*) AS total FROM items WHERE id > :least", True, False),
            ("SELECT 0.5 AS share", True, False),
            ("SELECT id AS total FROM items", True, False),
            ("SELECT id AS total FROM items WHERE id = 99", False, False),
            ("SELECT sum(id) AS total FROM items WHERE id = 99", False, False),
            (
                "SELECT abs(-9223372036854775807 - id) AS total FROM items WHERE id = 1",
                False,
                False,
            ),
        ],
        ids=str,
    )
    async def test_figures_that_never_come_are_told_from_those_of_no_rows_yet(
        self, harness: Harness, store: Store, wrong: str, *, for_good: bool, missing: bool
    ) -> None:
        """By these a rollout is refused before it begins, or not."""
        await make_items(harness, [1, 2])
        with pytest.raises(TargetError) as caught:
            await store.figures(wrong)
        assert (caught.value.for_good, caught.value.missing) == (for_good, missing)

    async def test_figures_of_a_window_are_between_two_moments(
        self, harness: Harness, store: Store
    ) -> None:
        """The same instant however its zone is written."""
        await harness.sql(
            "CREATE TABLE days (a TEXT)",
            "INSERT INTO days VALUES ('2026-11-29 11:59:59.999999'), ('2026-11-29 12:00:00.000000')"
            ", ('2026-11-29 13:30:00.000000')",
        )
        east = timezone(timedelta(hours=5))
        postgres = harness.json_type == "jsonb"
        column = "(a || '+00')::timestamptz" if postgres else "a"
        sql = (
            "SELECT count(*) AS total, min(length(':since')) AS told FROM days "
            f"WHERE {column} >= :since AND {column} < :until"
        )
        for since in (NOON, NOON.astimezone(east)):
            found = await store.figures(sql, since=since, until=NOON + timedelta(hours=1))
            assert found == {"total": 1, "told": 6}

    async def test_figures_take_values_of_other_names(self, harness: Harness, store: Store) -> None:
        """Values, never text that becomes SQL."""
        await make_items(harness, [1, 2, 3])
        sql = "SELECT count(*) AS total FROM items WHERE style = :style OR id > :least"
        hostile = "x' OR '1'='1"
        assert await store.figures(sql, params=(("style", hostile), ("least", 2))) == {"total": 1}

    @pytest.mark.parametrize(
        "writes",
        [
            "DELETE FROM items",
            "DELETE FROM items RETURNING id AS total",
            "INSERT INTO items (id) VALUES (9) RETURNING id AS total",
            "SELECT 1 AS total; DELETE FROM items",
            "SELECT 1 AS total; COMMIT; DELETE FROM items",
            "COMMIT; DELETE FROM items",
            "COMMIT",
            "PRAGMA query_only = OFF",
            "SET TRANSACTION READ WRITE",
            "CREATE TABLE more (id INTEGER)",
            "CREATE TEMP TABLE more (id INTEGER)",
            "DROP TABLE items",
        ],
    )
    async def test_figures_write_nothing(self, harness: Harness, store: Store, writes: str) -> None:
        """Whatever the statement is, and also the one that is asked after it."""
        await make_items(harness, [1, 2])
        before = await harness.dump()
        with pytest.raises(ProctorError):
            await store.figures(writes)
        with pytest.raises(TargetError) as refused:
            await store.figures("DELETE FROM items RETURNING id AS total")
        assert refused.value.for_good
        assert await harness.dump() == before
        assert await store.figures("SELECT count(*) AS total FROM items") == {"total": 2}

    async def test_figures_that_take_too_long_end(self, harness: Harness, store: Store) -> None:
        """By their own time, and the store answers the next question."""
        await make_items(harness, [1])
        with pytest.raises(TooSlow):
            await store.figures(ENDLESS, within=timedelta(milliseconds=200))
        assert await store.figures("SELECT count(*) AS total FROM items") == {"total": 1}
