"""`sql=` on Postgres: what its first statement leaves out is settled by the second, with locks."""

import asyncio

import psycopg

from pgcases import WAITING, table_spec, take_back, until
from proctor.model import Bucket, Outcome
from proctor.testing.conformance.acting import TERMS, begin, claim

SPEC = table_spec(sql=(("normal", "lower(style)"),))
REACT = """CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$"""


async def chunk(store, spec=SPEC):
    run = await begin(store, spec)
    (lease,) = await claim(store, run, spec, rows=100)
    return run, lease


async def test_a_row_that_somebody_changes_meanwhile_is_computed_from_what_it_holds_then(
    case, store
):
    """P4: their change is waited for, kept, and what is filled fits it."""
    case.items(5)
    _, lease = await chunk(store)
    with psycopg.connect(case.url) as other:
        other.execute("UPDATE items SET style = 'Theirs' WHERE id = 2")
        other.execute("DELETE FROM items WHERE id = 3")
        other.execute("UPDATE items SET normal = 'taken' WHERE id = 4")
        applied = asyncio.create_task(store.apply_sql(SPEC, lease, TERMS))
        await until(case, WAITING)
        other.commit()
    assert (await applied).outcome == Outcome(read=3, written=3)
    assert case.sql("SELECT id, style, normal FROM items ORDER BY id") == [
        (1, "Style 1", "style 1"),
        (2, "Theirs", "theirs"),
        (4, "Style 4", "taken"),
        (5, "Style 5", "style 5"),
    ]


async def test_rows_written_in_two_statements_are_one_chunk_of_undo(case, store):
    """P3: the journal holds the rows of both."""
    case.items(5)
    run, lease = await chunk(store)
    with psycopg.connect(case.url) as other:
        other.execute("UPDATE items SET style = 'Theirs' WHERE id = 2")
        applied = asyncio.create_task(store.apply_sql(SPEC, lease, TERMS))
        await until(case, WAITING)
        other.commit()
    assert (await applied).outcome == Outcome(read=5, written=5)
    assert (await store.verify(run, 1)).restored == 5
    assert (await take_back(store, run)).restored == 5
    assert case.sql("SELECT count(normal) FROM items") == [(0,)]


async def test_what_would_not_change_and_what_is_kept_back_is_told(case, store):
    """P1: every eligible row is in one bucket, also where rows stay eligible once written."""
    case.items(5)
    case.sql(
        "UPDATE items SET normal = lower(style) WHERE id IN (4, 5)",
        REACT,
        "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
    )
    spec = table_spec(sql=SPEC.sql, missing="true")
    run, lease = await chunk(store, spec)
    applied = await store.apply_sql(spec, lease, TERMS)
    assert applied.outcome == Outcome(read=5, written=2, unchanged=2, failed=1)
    issues = {issue.key: issue.bucket for issue in await store.issues(run.id)}
    assert issues == {(2,): Bucket.FAILED} | {(i,): Bucket.UNCHANGED for i in (4, 5)}


async def test_other_documents_are_written_and_other_prints_of_numbers_too(case, store):
    """P1: 1 and 1.0 are equal as jsonb and not the same image; the same image is no change."""
    case.items(3, column="normal jsonb")
    case.sql(
        """UPDATE items SET normal = CASE id WHEN 1 THEN '{"a": 1}' WHEN 2 THEN '{"a": 1.0}' """
        """ELSE '{"b": 1}' END::jsonb"""
    )
    spec = table_spec(sql=(("normal", """'{"a": 1.0}'::jsonb"""),), missing="true")
    _, lease = await chunk(store, spec)
    applied = await store.apply_sql(spec, lease, TERMS)
    assert applied.outcome == Outcome(read=3, written=2, unchanged=1)
    assert case.sql("SELECT DISTINCT normal::text FROM items") == [('{"a": 1.0}',)]


async def test_a_chunk_in_which_nothing_is_eligible_is_settled(case, store):
    """P1: it was read, and there was nothing."""
    case.items(3)
    case.sql("UPDATE items SET normal = 'there'")
    _, lease = await chunk(store)
    assert (await store.apply_sql(SPEC, lease, TERMS)).outcome == Outcome()
