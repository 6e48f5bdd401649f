"""A page in which every row was skipped is settled like any other, whatever the fill's type."""

import pytest

from pgcases import Case, fill, table_spec
from proctor.model import Bucket, Outcome


@pytest.mark.parametrize("kind", ["jsonb", "json", "text", "numeric", "text[]"])
async def test_a_page_with_nothing_to_write_is_applied(pg, kind):
    """P1: its rows are in their bucket and the chunk is over."""
    async with Case(pg) as case:
        case.items(3, column=f"normal {kind}")
        store = await case.store()
        run, applied = await fill(store, table_spec(), lambda _row: None)
        assert applied.outcome == Outcome(read=3, skipped=3)
        assert [issue.bucket for issue in await store.issues(run.id)] == [Bucket.SKIPPED] * 3


@pytest.mark.parametrize("path", ["normal.a", "normal.a.b"])
async def test_a_page_with_nothing_for_a_place_in_a_document_is_applied(pg, path):
    """The same for a nested fill."""
    async with Case(pg) as case:
        case.items(3, column="normal jsonb")
        store = await case.store()
        _, applied = await fill(store, table_spec(fills=(path,)), lambda _row: None)
        assert applied.outcome == Outcome(read=3, skipped=3)
