"""Writes on Postgres: what triggers, policies, other writers and documents do to them."""

import asyncio
import json

from datetime import timedelta

import psycopg
import pytest

from pgcases import WAITING, fill, first_page, table_spec, take_back, until
from proctor.errors import Busy, TooSlow
from proctor.model import Bucket, Outcome, RunState, Span
from proctor.testing.conformance.acting import TERMS, answered, begin, claim, lower, process

TRIGGER = """CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"""


async def test_a_trigger_that_raises_costs_only_its_row(case, store):
    """The message of the trigger stays, the row's values that it repeats do not."""
    case.items(9)
    case.sql(
        TRIGGER.format(
            "IF NEW.id = 4 THEN RAISE EXCEPTION 'no % for \"%\" please', NEW.style, NEW.normal; "
            "END IF; RETURN NEW;"
        ),
        "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
    )
    run, applied = await fill(store, table_spec(), lower)
    assert applied.outcome == Outcome(read=9, written=8, failed=1)
    (issue,) = await store.issues(run.id)
    assert issue.key == (4,)
    assert "please" in issue.reason
    assert "tyle" not in issue.reason


async def test_a_row_that_a_trigger_keeps_out_is_failed(case, store):
    """The server said nothing, and the row is still not counted as written."""
    case.items(3)
    case.sql(
        TRIGGER.format("IF NEW.id = 2 THEN RETURN NULL; END IF; RETURN NEW;"),
        "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
    )
    run, applied = await fill(store, table_spec(), lower)
    assert applied.outcome == Outcome(read=3, written=2, failed=1)
    (issue,) = await store.issues(run.id)
    assert "trigger" in issue.reason


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
async def test_what_triggers_make_of_a_fill_is_its_after_image(case, store, when):
    """Undo recognises the row as ours although a trigger changed what we wrote."""
    case.items(5)
    body = {
        "BEFORE": "NEW.normal = NEW.normal || '!'; RETURN NEW;",
        "AFTER": "IF NEW.normal NOT LIKE '%!' THEN UPDATE items SET normal = NEW.normal || '!' "
        "WHERE id = NEW.id; END IF; RETURN NULL;",
    }[when]
    original = case.image("items")
    case.sql(
        TRIGGER.format(body),
        f"CREATE TRIGGER react {when} UPDATE OF normal ON items FOR EACH ROW "
        "WHEN (NEW.normal IS NOT NULL) EXECUTE FUNCTION react()",
    )
    run, applied = await fill(store, table_spec(), lower)
    assert applied.outcome.written == 5
    assert case.sql("SELECT normal FROM items WHERE id = 1") == [("style 1!",)]
    assert (await store.verify(run, 1)).restored == 5
    assert (await take_back(store, run)).restored == 5
    assert case.image("items") == original


async def test_preserved_columns_are_kept_or_the_row_fails(case, store):
    """A trigger that touches them all the same costs its row, with the reason."""
    case.items(4, column="normal text, touched int DEFAULT 7")
    case.sql(
        TRIGGER.format("IF NEW.id = 3 THEN NEW.touched = 8; END IF; RETURN NEW;"),
        "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
    )
    spec = table_spec(preserve=("touched",))
    assert any("touched" in w and "react" in w for w in (await store.inspect(spec)).warnings)
    run, applied = await fill(store, spec, lower)
    assert applied.outcome == Outcome(read=4, written=3, failed=1)
    assert case.sql("SELECT id FROM items WHERE normal IS NULL OR touched <> 7") == [(3,)]
    (issue,) = await store.issues(run.id)
    assert "preserve" in issue.reason


async def test_a_row_changed_since_it_was_read_is_computed_again(case, store):
    """Neither the other's edit nor the function's freshness is lost."""
    case.items(6)
    run, lease, page = await first_page(store, table_spec())
    case.sql(
        "UPDATE items SET style = 'Edited' WHERE id = 2",
        "DELETE FROM items WHERE id = 3",
        "UPDATE items SET id = 99 WHERE id = 4",
        "UPDATE items SET normal = 'theirs' WHERE id = 5",
    )
    applied = await store.apply(table_spec(), lease, answered(page, table_spec()), TERMS)
    assert applied.outcome == Outcome(read=4, written=2, gone=2)
    assert applied.retry.chunk.keys == ((2,), (5,))
    applied = await process(store, table_spec(), applied.retry)
    assert applied.outcome == Outcome(read=2, written=1, gone=1)
    assert case.sql("SELECT id, normal FROM items ORDER BY id") == [
        (1, "style 1"),
        (2, "edited"),
        (5, "theirs"),
        (6, "style 6"),
        (99, None),
    ]
    assert (await store.run(run.id)).outcome == Outcome(read=6, written=3, gone=3)


async def test_an_edit_in_flight_is_waited_for_and_never_overwritten(case, store):
    """Our update meets a locked row, waits, and finds it changed."""
    case.items(2)
    _, lease, page = await first_page(store, table_spec())
    with psycopg.connect(case.url) as other:
        other.execute("UPDATE items SET normal = 'theirs' WHERE id = 1")
        writing = asyncio.create_task(
            store.apply(table_spec(), lease, answered(page, table_spec()), TERMS)
        )
        await until(case, WAITING)
        other.commit()
    applied = await writing
    assert applied.retry.chunk.keys == ((1,),)
    assert case.sql("SELECT normal FROM items WHERE id = 1") == [("theirs",)]


async def test_a_lock_timeout_is_busy_and_writes_nothing(case):
    """The chunk can be tried again: it is still ours."""
    store = await case.store(lock_timeout=timedelta(milliseconds=50))
    case.items(2)
    _, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    with psycopg.connect(case.url) as other:
        other.execute("SELECT 1 FROM items WHERE id = 2 FOR UPDATE")
        with pytest.raises(Busy):
            await store.apply(table_spec(), lease, settled, TERMS)
    assert case.sql("SELECT count(normal) FROM items") == [(0,)]
    assert (await store.apply(table_spec(), lease, settled, TERMS)).outcome.written == 2


async def test_a_statement_timeout_is_too_slow_and_the_chunk_can_be_cut(case):
    """Halves small enough pass."""
    store = await case.store(statement_timeout=timedelta(milliseconds=200))
    case.items(4)
    case.sql(
        TRIGGER.format("PERFORM pg_sleep(0.08); RETURN NEW;"),
        "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
    )
    run, lease, page = await first_page(store, table_spec())
    with pytest.raises(TooSlow):
        await store.apply(table_spec(), lease, answered(page, table_spec()), TERMS)
    await store.split(lease, page)
    for half in await claim(store, run, table_spec(), count=2):
        await process(store, table_spec(), half)
    assert (await store.run(run.id)).outcome == Outcome(read=4, written=4)


async def test_a_deadlock_is_busy_for_one_side_only(case, store):
    """The server chooses; what it broke off can be done again."""
    case.items(2)
    case.sql("ALTER DATABASE " + case.url.rpartition("/")[2] + " SET deadlock_timeout = '50ms'")
    _, lease, page = await first_page(store, table_spec())
    settled = answered(page, table_spec())
    with psycopg.connect(case.url) as other:
        other.execute("SELECT 1 FROM items WHERE id = 2 FOR UPDATE")
        writing = asyncio.create_task(store.apply(table_spec(), lease, settled, TERMS))
        await until(case, WAITING)
        broken = False
        try:
            await asyncio.to_thread(other.execute, "SELECT 1 FROM items WHERE id = 1 FOR UPDATE")
        except psycopg.errors.DeadlockDetected:
            broken = True
            other.rollback()
        else:
            other.commit()
    if broken:
        assert (await writing).outcome.written == 2
    else:
        with pytest.raises(Busy):
            await writing
        assert (await store.apply(table_spec(), lease, settled, TERMS)).outcome.written == 2


async def test_values_that_cannot_be_sent_fail_alone(case, store):
    """Wrong types, NUL, half characters: the row's failure, with the type and not the value."""
    case.items(6, column="n int, j jsonb")
    odd = [(1.5, {}), ("zwölf", {}), (4, {"a": "x\0y"}), (True, {}), (2**40, {}), (6, {"ok": 1})]
    answers = iter(odd)
    spec = table_spec(fills=("n", "j"))
    run, applied = await fill(store, spec, lambda _row: next(answers))
    assert applied.outcome == Outcome(read=6, written=1, failed=5)
    reasons = {i.key[0]: i.reason for i in await store.issues(run.id)}
    assert set(reasons) == {1, 2, 3, 4, 5}
    assert "whole number" in reasons[1]
    assert "zw" not in reasons[2]
    assert "bool" in reasons[4]


async def test_too_long_a_text_is_refused_and_never_cut(case, store):
    """An explicit cast would have cut it; so would a domain's."""
    case.sql("CREATE DOMAIN short AS varchar(3)")
    case.items(2, column="a varchar(3), b short, c char(3), d varbit(3)")
    for column, good, long in [
        ("a", "abc", "abcd"),
        ("b", "abc", "abcd"),
        ("c", "abc", "abcd"),
        ("d", "101", "1010"),
    ]:
        answers = iter([good, long])
        spec = table_spec(fills=(column,))
        run, applied = await fill(store, spec, lambda _r, a=answers: next(a), run=f"run-{column}")
        assert applied.outcome == Outcome(read=2, written=1, failed=1), column
        assert case.sql(f"SELECT {column} FROM items ORDER BY id") == [(good,), (None,)]
        assert (await take_back(store, run)).restored == 1


class TestDocuments:
    """A place inside a document is written, imaged and undone at its path."""

    DOCS = (
        "CREATE TABLE docs (id int PRIMARY KEY, doc jsonb)",
        """INSERT INTO docs VALUES (1, '{"a": 1.0, "x": {"y": {"z": 1}}}'), (2, '{}'), (3, NULL),
        (4, '{"x": {}}'), (5, '{"x": {"y": null}}'), (6, '{"x": {"y": {"v": null}}}'),
        (7, '{"x": 5}'), (8, '[1]'), (9, '{"x": {"y": {"v": "old"}}}')""",
    )

    async def test_missing_parents_are_made_and_taken_away_again(self, case, store):
        """Undo leaves every document as it was, to the byte; null is not an empty object."""
        case.sql(*self.DOCS)
        original = case.image("docs")
        spec = table_spec("docs", fills=("doc.x.y.v", "doc.w"), missing="true")
        run, applied = await fill(store, spec, lambda _row: ([1, "é"], None))
        assert applied.outcome == Outcome(read=9, written=6, failed=3)
        assert case.sql("SELECT doc FROM docs WHERE id IN (1, 3) ORDER BY id") == [
            ({"a": 1.0, "x": {"y": {"z": 1, "v": [1, "é"]}}, "w": None},),
            ({"x": {"y": {"v": [1, "é"]}}, "w": None},),
        ]
        assert {i.key[0] for i in await store.issues(run.id)} == {5, 7, 8}
        undone = await take_back(store, run)
        assert (undone.restored, undone.changed) == (6, 0)
        assert case.image("docs") == original

    async def test_what_others_wrote_beside_the_place_stays(self, case, store):
        """Undo takes back the place only, and keeps parents that others use by now."""
        case.sql(*self.DOCS[:1], "INSERT INTO docs VALUES (1, NULL), (2, '{}'), (3, '{}')")
        spec = table_spec("docs", fills=("doc.x.v",))
        run, _ = await fill(store, spec, lambda _row: 1)
        case.sql(
            """UPDATE docs SET doc = jsonb_set(doc, '{theirs}', '2') WHERE id = 1""",
            """UPDATE docs SET doc = jsonb_set(doc, '{x,theirs}', '2') WHERE id = 2""",
            """UPDATE docs SET doc = jsonb_set(doc, '{x,v}', '1.0') WHERE id = 3""",
        )
        undone = await take_back(store, run)
        assert (undone.restored, undone.changed) == (2, 1)
        assert case.sql("SELECT doc::text FROM docs ORDER BY id") == [
            ('{"theirs": 2}',),
            ('{"x": {"theirs": 2}}',),
            ('{"x": {"v": 1.0}}',),
        ]

    async def test_the_same_number_printed_otherwise_is_a_change(self, case, store):
        """1.0 and 1 are equal to jsonb and different on paper: images decide."""
        case.sql(
            "CREATE TABLE docs (id int PRIMARY KEY, doc jsonb)",
            "INSERT INTO docs VALUES (1, '1.0'), (2, '1')",
        )
        original = case.image("docs")
        spec = table_spec("docs", fills=("doc",), missing="true")
        run, applied = await fill(store, spec, lambda _row: 1)
        assert applied.outcome == Outcome(read=2, written=1, unchanged=1)
        await take_back(store, run)
        assert case.image("docs") == original


async def test_every_kind_of_unchanged_is_seen(case, store):
    """Another order of keys, more digits than are kept, trailing blanks: nothing is written."""
    case.items(1, column="j jsonb, n numeric(6,2), c char(4), t timestamptz, f float4")
    case.sql(
        """UPDATE items SET j = '{"a": 1, "b": "x"}', n = 1.5, c = 'ab', """
        """t = '2024-01-01 00:00+00', f = 0.1"""
    )
    spec = table_spec(fills=("j", "n", "c", "t", "f"), missing="true")
    same = ({"b": "x", "a": 1}, 1.5, "ab  ", "2024-01-01T01:00:00+01:00", 0.1)
    _, applied = await fill(store, spec, lambda _row: same)
    assert applied.outcome == Outcome(read=1, unchanged=1)


async def test_undo_data_is_small(case, store):
    """A hundred bytes of JSON in and out: a few bytes a row, after-images included."""
    styles = ["casual", "smart", "sporty", "formal", "street", "boho"]
    case.items(4000, column="normal jsonb")
    old = {"style": ["Casual"], "occasion": ["Work", "Party"], "mood": ["calm"], "season": ["all"]}
    case.sql(
        f"UPDATE items SET normal = '{json.dumps(old)}'::jsonb || jsonb_build_object('n', id % 7)"
    )
    spec = table_spec(missing="true")
    _, applied = await fill(
        store, spec, lambda row: old | {"style": [styles[row["id"] % 6]]}, rows=4000
    )
    assert applied.outcome.written == 4000
    assert applied.undo_bytes < 4000 * 25


async def test_values_that_python_cannot_hold_are_read_as_text(case, store):
    """Infinity, the year 10000 and dates before Christ do not stop a page."""
    case.items(3, column="at timestamptz, on_day date, for_time interval, normal text")
    case.sql(
        "UPDATE items SET at = 'infinity', on_day = '0044-03-15 BC', for_time = '178000000 years' "
        "WHERE id = 2",
        "UPDATE items SET at = '2024-01-01 00:00+00' WHERE id = 1",
    )
    _, _, page = await first_page(store, table_spec())
    assert page.rows[0]["at"].year == 2024
    assert page.rows[1]["at"] == "infinity"
    assert page.rows[1]["on_day"] == "0044-03-15 BC"


async def test_a_page_can_be_read_of_a_backfill_that_runs_inside(case, store):
    """A chunk shows its rows; only samples show what the expressions would give."""
    case.items(3)
    spec = table_spec(sql=(("normal", "lower(style)"),))
    _, _, page = await first_page(store, spec)
    assert page.rows[0] == {"id": 1, "style": "Style 1", "normal": None}
    shown = await store.sample(spec, 1, span=Span())
    assert shown.rows[0]["= normal"] == "style 1"


async def test_conflicts_end_after_so_many_attempts(case, store):
    """A row that somebody keeps changing is listed, and no longer once a sweep settled it."""
    case.items(1)
    spec = table_spec()
    run, lease, _ = await first_page(store, spec)
    applied = None
    while lease is not None:
        page = await store.read(spec, lease)
        case.sql("UPDATE items SET style = style || '.'")
        applied = await store.apply(spec, lease, answered(page, spec), TERMS)
        lease = applied.retry
    assert applied.outcome == Outcome(read=1, conflicted=1)
    assert [i.bucket for i in await store.issues(run.id)] == [Bucket.CONFLICTED]
    assert await store.sweep(run, spec, 1, 10) == 1
    (lease,) = await claim(store, run, spec)
    assert lease.chunk.revisited == 1
    await process(store, spec, lease)
    assert await store.issues(run.id) == []
    assert (await store.run(run.id)).outcome == Outcome(read=1, written=1)


class TestInside:
    """`sql=` has the same promises as a function."""

    async def inside(self, store, spec, *, run="run-1"):
        run = await begin(store, spec, run=run)
        (lease,) = await claim(store, run, spec, rows=1000)
        return run, await store.apply_sql(spec, lease, TERMS)

    async def test_types_and_places_are_written_as_their_columns_take_them(self, case, store):
        """A literal for an enum, a number for text, a place in a document, a stamp; and back."""
        case.sql("CREATE TYPE mood AS ENUM ('ok', 'sad')")
        case.items(3, column="m mood, n numeric(6,2), t varchar(4), doc jsonb, v text")
        original = case.image("items")
        for i, (field, sql) in enumerate(
            [
                ("m", "'ok'"),
                ("n", "id / 3.0"),
                ("t", "id"),
                ("doc.a.b", "style"),
                ("doc", "jsonb_build_object('id', id)"),
            ]
        ):
            spec = table_spec(fills=(field,), sql=((field, sql),), stamp="v", missing="true")
            await store.inspect(spec)
            run, applied = await self.inside(store, spec, run=f"run-{i}")
            assert applied.outcome == Outcome(read=3, written=3), field
            assert (await store.verify(run, 1)).restored == 3
            assert (await take_back(store, run)).restored == 3
            assert case.image("items") == original
            await store.move(run.id, RunState.ROLLED_BACK, among=[RunState.ROLLING_BACK])

    async def test_triggers_are_heard(self, case, store):
        """One row is kept out, one raises, what AFTER makes of the rest is their after-image."""
        case.items(6)
        case.sql(
            TRIGGER.format(
                "IF NEW.id = 2 THEN RETURN NULL; END IF; "
                "IF NEW.id = 3 THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW;"
            ),
            "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
            "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "UPDATE items SET normal = NEW.normal || '!' WHERE id = NEW.id; RETURN NULL; END $$",
            "CREATE TRIGGER again AFTER UPDATE OF normal ON items FOR EACH ROW "
            "WHEN (NEW.normal NOT LIKE '%!') EXECUTE FUNCTION again()",
        )
        spec = table_spec(sql=(("normal", "lower(style)"),))
        run, applied = await self.inside(store, spec)
        assert applied.outcome == Outcome(read=6, written=4, failed=2)
        assert {i.key for i in await store.issues(run.id)} == {(2,), (3,)}
        assert (await store.verify(run, 1)).restored == 4

    async def test_an_edit_in_flight_is_waited_for(self, case, store):
        """The expression is computed from what the other wrote."""
        case.items(2)
        spec = table_spec(sql=(("normal", "lower(style)"),))
        run = await begin(store, spec)
        (lease,) = await claim(store, run, spec)
        with psycopg.connect(case.url) as other:
            other.execute("UPDATE items SET style = 'EDITED' WHERE id = 1")
            writing = asyncio.create_task(store.apply_sql(spec, lease, TERMS))
            await until(case, WAITING)
            other.commit()
        assert (await writing).outcome.written == 2
        assert case.sql("SELECT normal FROM items WHERE id = 1") == [("edited",)]

    async def test_preserved_columns_hold_here_too(self, case, store):
        """A trigger that changes them costs its row."""
        case.items(3, column="normal text, touched int DEFAULT 7")
        case.sql(
            TRIGGER.format("IF NEW.id = 3 THEN NEW.touched = 8; END IF; RETURN NEW;"),
            "CREATE TRIGGER react BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION react()",
        )
        spec = table_spec(sql=(("normal", "lower(style)"),), preserve=("touched",))
        _, applied = await self.inside(store, spec)
        assert applied.outcome == Outcome(read=3, written=2, failed=1)
        assert case.sql("SELECT id FROM items WHERE normal IS NULL OR touched <> 7") == [(3,)]
