"""Counts on SQLite: the connection that they are asked on stays one that cannot write."""

import pytest

from proctor.errors import TargetError


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA query_only = OFF",
        "PRAGMA foreign_keys = OFF",
        "ATTACH ':memory:' AS other",
        "COMMIT",
    ],
)
async def test_no_metric_changes_the_connection(lite, statement):
    """What is asked next, by whomever, is asked as before."""
    store = await lite.store()

    def state(session):
        connection = session.quiet
        names = ("query_only", "foreign_keys", "database_list")
        return [connection.execute(f"PRAGMA {name}").fetchall() for name in names]

    before = await store.desk.ask(state)
    assert before[0] == [(1,)]
    with pytest.raises(TargetError, match="may only read"):
        await store.figures(statement)
    assert await store.desk.ask(state) == before


@pytest.mark.parametrize("table", ["json_each", "json_tree"])
async def test_a_statement_may_look_into_json(lite, table):
    """SQLite makes these tables at their first use; nothing is created by that."""
    store = await lite.store()
    found = await store.figures(f"SELECT count(*) AS value FROM {table}('[1, 2]') WHERE atom > 0")
    assert found == {"value": 2}
