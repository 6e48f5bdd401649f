"""What only reads cannot write: not even through a function that an author's SQL calls."""

import pytest

from pgcases import Case, table_spec
from proctor.errors import ProctorError
from proctor.model import Span

NOISY = """
    CREATE FUNCTION noisy(text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN INSERT INTO log VALUES ($1); RETURN true; END $$
"""
READS = {
    "survey": lambda store, spec: store.survey(spec, Span()),
    "sample": lambda store, spec: store.sample(spec, 2, span=Span()),
    "measure": lambda store, _spec: store.measure("SELECT noisy('me')::int"),
}


@pytest.mark.parametrize("read", READS)
async def test_a_function_that_writes_is_refused_wherever_we_only_read(pg, read):
    """P7: plans, dry runs and signals ask in transactions in which Postgres refuses a write."""
    async with Case(pg) as case:
        case.items(3)
        case.sql("CREATE TABLE log (what text)", NOISY)
        store = await case.store()
        spec = table_spec(where="noisy(style)", missing="noisy(style)")
        with pytest.raises(ProctorError, match="read-only"):
            await READS[read](store, spec)
        assert case.sql("SELECT * FROM log") == []
