"""Taking runs back on Postgres: as a script for psql alone, in parts, and over big journals."""

import subprocess

import pytest

import servers

from pgcases import fill, table_spec, take_back
from proctor.adapters.stores import journal
from proctor.adapters.stores.postgres import leftover
from proctor.errors import TargetError
from proctor.model import Outcome, RunState, Span
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import begin, claim, lower, process, work


def psql(server, url, script):
    """Run a script as an operator would."""
    program = next(d / "psql" for d in servers.postgres_bindirs() if (d / "psql").exists())
    return subprocess.run(
        [program, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", url, "--file", "-"],
        input=script,
        check=False,
        capture_output=True,
        text=True,
    )


async def scripted(store, run):
    numbers = [c.chunk.number for c in await store.chunks(run.id)]
    return "".join([piece async for piece in store.undo_script(run, numbers)])


async def test_a_script_undoes_a_run_with_psql_alone(case, store, pg_server):
    """Documents, hostile texts, digests and nulls; a second time changes nothing."""
    case.items(30, column="doc jsonb, note text")
    case.sql(
        """UPDATE items SET doc = '{"a": 1.0}' WHERE id < 9""",
        r"""UPDATE items SET note = E'it''s \\ "q" %s ; -- \n$1' WHERE id < 9""",
        "UPDATE items SET note = repeat('long ', 40) WHERE id = 10",
    )
    original = case.image("items")
    spec = table_spec(fills=("doc.x.y", "note"), missing="true")
    run, _ = await fill(store, spec, lambda row: ([row["id"]], f"{row['style']} \\ '" + "x" * 40))
    await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
    script = await scripted(store, run)
    case.sql("UPDATE items SET note = 'theirs' WHERE id = 20")
    told = psql(pg_server, case.url, script)
    assert told.returncode == 0, told.stderr
    assert "rows_that_hold" in told.stdout
    assert case.sql("SELECT note, doc->'x' FROM items WHERE id = 20") == [
        ("theirs", {"y": [20]}),
    ]
    assert (await store.chunks(run.id))[0].undone
    assert psql(pg_server, case.url, script).returncode == 0
    case.sql("UPDATE items SET note = NULL, doc = NULL WHERE id = 20")
    assert case.image("items") == original


async def test_a_script_deletes_only_rows_that_are_as_they_were_inserted(case, store, pg_server):
    """What somebody changed, or refers to, stays."""
    case.items(5)
    case.sql("CREATE TABLE about (id bigint PRIMARY KEY, mood text, extra int)")
    spec = table_spec(fills=("mood",), into="about", into_key=("id",))
    run, _ = await fill(store, spec, lower)
    case.sql(
        "CREATE TABLE likes (about bigint REFERENCES about ON DELETE CASCADE)",
        "INSERT INTO likes VALUES (2)",
        "UPDATE about SET extra = 1 WHERE id = 3",
    )
    told = psql(pg_server, case.url, await scripted(store, run))
    assert told.returncode == 0, told.stderr
    assert case.sql("SELECT id FROM about ORDER BY 1") == [(2,), (3,)]


async def test_a_part_of_a_chunk_is_undone_and_the_rest_later(case, store):
    """By key and by range, in either direction; the books of the parts add up."""
    case.items(20)
    original = case.image("items")
    run, _ = await fill(store, table_spec(key=("-id",)), lower)
    await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
    run = await store.move(run.id, RunState.ROLLING_BACK, among=[RunState.SUCCEEDED])

    async def part(**span):
        return (await store.undo(run, 1, UndoTerms(span=Span(**span)))).restored

    assert await part(keys=((3,), (99,))) == 1
    assert await part(start=(15,), stop=(11,)) == 5
    assert await part(start=(5,)) == 4
    assert case.sql("SELECT count(normal) FROM items") == [(10,)]
    assert not (await store.chunks(run.id))[0].undone
    assert len(await store.written_keys(run, 1)) == 10
    assert (await store.undo(run, 1, UndoTerms())).restored == 10
    assert case.image("items") == original
    assert await store.written_keys(run, 1) == []


async def test_rows_that_the_server_will_not_take_back_are_blocked(case, store):
    """A constraint added since, or a trigger that changes the value: listed, the rest undone."""
    case.items(6)
    case.sql("UPDATE items SET normal = 'OLD ' || id")
    run, _ = await fill(store, table_spec(missing="true"), lower)
    case.sql(
        "ALTER TABLE items ADD CHECK (normal <> 'OLD 2')",
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.id = 4 THEN NEW.normal = NEW.normal || '!'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER shout BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION shout()",
    )
    undone = await take_back(store, run)
    assert (undone.restored, undone.blocked) == (4, 2)
    reasons = {i.key: i.reason for i in undone.left}
    assert "items_normal_check" in reasons[(2,)]
    assert "OLD" not in reasons[(2,)]
    assert "trigger" in reasons[(4,)]
    assert case.sql("SELECT normal FROM items WHERE id IN (2, 4) ORDER BY id") == [
        ("style 2",),
        ("style 4",),
    ]


async def test_rows_that_a_trigger_changes_after_the_restore_are_blocked(case, store):
    """P3: an AFTER trigger fires when the answer has been given; the row is looked at again."""
    case.items(6)
    run, _ = await fill(store, table_spec(), lower)
    case.sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE items SET normal = 'default' WHERE id = NEW.id AND id IN (2, 4); "
        "DELETE FROM items WHERE id = NEW.id AND id = 5; RETURN NULL; END $$",
        "CREATE TRIGGER shout AFTER UPDATE ON items FOR EACH ROW "
        "WHEN (NEW.normal IS NULL) EXECUTE FUNCTION shout()",
    )
    undone = await take_back(await case.store(), run)
    assert (undone.restored, undone.blocked) == (3, 3)
    assert {i.key: "trigger" in i.reason for i in undone.left} == dict.fromkeys(
        [(2,), (4,), (5,)], True
    )
    assert case.sql("SELECT id, normal FROM items ORDER BY id") == [
        (n, f"style {n}" if n in (2, 4, 5) else None) for n in range(1, 7)
    ]


async def test_pruned_rows_can_no_longer_be_undone_and_leave_no_image(case, store):
    """By age, by run, or one person's keys: nothing of the old value is left behind."""
    case.items(10)
    case.sql("UPDATE items SET normal = 'secret ' || id")
    run, _ = await fill(store, table_spec(missing="true"), lower)
    assert await store.prune(keys=[(4,), (5,), (77,)]) == 2
    ((blob,),) = case.sql("SELECT undo FROM proctor.chunks")
    assert [k for (k,) in journal.unpack(blob).keys] == [1, 2, 3, 6, 7, 8, 9, 10]
    assert await store.prune(run="another") == 0
    assert await store.prune(run=run.id) == 8
    assert case.sql("SELECT undo IS NULL FROM proctor.chunks") == [(True,)]
    assert not (await store.chunks(run.id))[0].has_undo
    assert (await take_back(store, run)).written == 0


async def test_tables_of_a_newer_proctor_are_left_alone(case, store):
    """An older version says so instead of guessing."""
    case.items(1)
    run, _ = await fill(store, table_spec(), lower)
    case.sql("UPDATE proctor.meta SET version = 99")
    other = await case.store()
    with pytest.raises(TargetError, match="newer"):
        await other.runs()
    with pytest.raises(TargetError, match="newer"):
        await other.run(run.id)
    with pytest.raises(TargetError, match="newer"):
        await begin(other, table_spec(), run="b")


async def test_sweeps_and_tallies_go_page_by_page(case, store, monkeypatch):
    """Over many pages and chunks, mixed directions: exactly the rows that were not settled."""
    monkeypatch.setattr(leftover, "PAGE", 7)
    case.sql(
        "CREATE TABLE pairs (a text, b int, style text, normal text, PRIMARY KEY (a, b))",
        "INSERT INTO pairs SELECT chr(97 + n % 5), n, 'Style ' || n FROM generate_series(1, 90) n",
    )
    spec = table_spec("pairs", ("-a", "b"), missing="true")
    run = await begin(store, spec)

    def answer(row):
        return None if row["b"] % 3 == 0 else lower(row)

    assert await work(store, run, spec, answer, rows=11) == Outcome(read=90, written=60, skipped=30)
    case.sql(
        "INSERT INTO pairs SELECT 'c', n, 'Late' FROM generate_series(-20, 0) n",
        "INSERT INTO pairs SELECT 'z', n, 'Not ours' FROM generate_series(1, 5) n",
    )
    found = await store.tally(run, spec)
    assert found["arrived"] == 26
    assert found["skipped"] == 30
    assert await store.sweep(run, spec, 1, 10) == 26
    assert await store.sweep(run, spec, 1, 10) == 26, "asked again after a lost reply"
    assert await work(store, run, spec, lower) == Outcome(read=116, written=86, skipped=30)
    assert (await store.run(run.id)).still_eligible == found


async def test_a_fill_that_vanished_is_named(case, store):
    """Undo after the column was dropped says which one."""
    case.items(2)
    run, _ = await fill(store, table_spec(), lower)
    case.sql("ALTER TABLE items DROP COLUMN normal")
    other = await case.store()
    with pytest.raises(TargetError, match="normal"):
        await other.undo(run, 1, UndoTerms())


async def test_a_run_at_scale_keeps_its_memory_small(case, store):
    """Fifty thousand rows in chunks: the books balance and undo restores the checksum."""
    case.items(50_000)
    original = case.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM items t")
    spec = table_spec()
    run = await begin(store, spec)
    done = Outcome()
    while leases := await claim(store, run, spec, count=2, rows=10_000):
        for lease in leases:
            done += (await process(store, spec, lease)).outcome
    assert done == Outcome(read=50_000, written=50_000)
    assert (await take_back(store, run)).restored == 50_000
    assert case.sql("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM items t") == original
