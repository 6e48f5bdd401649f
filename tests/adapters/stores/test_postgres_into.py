"""Filling another table from a table or a query: guarded on both sides, undone row by row."""

import pytest

from pgcases import Case, fill, first_page, table_spec, take_back
from proctor.errors import TargetError
from proctor.model import Guard, KeyPart, Outcome, Source, Span, Spec
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import TERMS, answered, begin, claim, process


@pytest.fixture
async def case(pg):
    async with Case(pg) as case:
        case.sql(
            "CREATE TABLE songs (id int PRIMARY KEY, title text, hidden bool DEFAULT false)",
            "INSERT INTO songs SELECT n, 'Song ' || n FROM generate_series(1, 6) n",
            "UPDATE songs SET hidden = true WHERE id = 6",
            "CREATE TABLE about (song_id bigint PRIMARY KEY, mood text, version int, "
            "made timestamptz DEFAULT now(), extra jsonb)",
            "INSERT INTO about (song_id, mood, version) VALUES (1, 'old', 1), (2, 'kept', 2)",
        )
        yield case


def about(**more):
    plain = {
        "fills": ("mood",),
        "where": "NOT hidden",
        "missing": "mood IS NULL",
        "stamp": "version",
        "into": "about",
        "into_key": ("song_id",),
        "backfill": "about",
    }
    changed = plain | more
    name = changed.pop("backfill")
    spec = table_spec("songs", **changed)
    return Spec(
        **{f: getattr(spec, f) for f in spec.__slots__} | {"backfill": name, "version": "2"}
    )


def mood(row):
    return f"mood of {row['title']}"


async def test_rows_that_are_there_are_filled_and_others_inserted_whole(case, store):
    """Rows of this version stand; rows out of `where` are not touched; undo deletes ours."""
    original = case.image("about")
    run, applied = await fill(store, about(), mood)
    assert applied.outcome == Outcome(read=4, written=4)
    assert case.sql("SELECT song_id, mood, version FROM about ORDER BY 1") == [
        (1, "mood of Song 1", 2),
        (2, "kept", 2),
        (3, "mood of Song 3", 2),
        (4, "mood of Song 4", 2),
        (5, "mood of Song 5", 2),
    ]
    assert (await store.verify(run, 1)).restored == 4
    dry = await store.undo(run, 1, UndoTerms(dry_run=True))
    assert (dry.restored, dry.written) == (4, 4)
    assert (await take_back(store, run)).restored == 4
    assert case.image("about") == original


async def test_a_new_row_is_never_half_filled(case, store):
    """Where one fill is null, a row that is there takes it and one that is not stays away."""
    spec = about(fills=("mood", "extra"))
    run, applied = await fill(store, spec, lambda row: (mood(row), None))
    assert applied.outcome == Outcome(read=4, written=1, failed=3)
    assert case.sql("SELECT count(*) FROM about") == [(2,)]
    assert "half-filled" in (await store.issues(run.id))[0].reason


async def test_source_and_target_are_both_guarded(case, store):
    """A source that changed, a target that appeared, changed or went: computed again."""
    _, lease, page = await first_page(store, about())
    assert [p is None for p in page.images] == [False, True, True, True]
    case.sql(
        "UPDATE about SET mood = NULL, version = 1 WHERE song_id = 1",
        "UPDATE songs SET title = 'Renamed' WHERE id = 3",
        "INSERT INTO about VALUES (4, 'theirs', 2)",
        "DELETE FROM songs WHERE id = 5",
    )
    applied = await store.apply(about(), lease, answered(page, about(), mood), TERMS)
    assert applied.outcome == Outcome(read=1, gone=1)
    assert applied.retry.chunk.keys == ((1,), (3,), (4,))
    applied = await process(store, about(), applied.retry, mood)
    assert applied.outcome == Outcome(read=3, written=2, gone=1)
    assert case.sql("SELECT song_id, mood FROM about ORDER BY 1") == [
        (1, "mood of Song 1"),
        (2, "kept"),
        (3, "mood of Renamed"),
        (4, "theirs"),
    ]


async def test_undo_deletes_no_row_that_changed_or_that_others_refer_to(case, store):
    """Also where a foreign key would quietly delete the other row too."""
    run, _ = await fill(store, about(), mood)
    case.sql(
        "CREATE TABLE likes (song bigint REFERENCES about ON DELETE CASCADE)",
        "INSERT INTO likes VALUES (3)",
        "UPDATE about SET extra = '{}' WHERE song_id = 4",
        "DELETE FROM about WHERE song_id = 5",
    )
    undone = await take_back(store, run)
    assert (undone.written, undone.restored, undone.changed, undone.gone, undone.blocked) == (
        *(4, 1, 1, 1, 1),
    )
    assert {i.key: i.reason for i in undone.left}[(3,)] == "other rows refer to it"
    assert case.sql("SELECT song_id FROM about ORDER BY 1") == [(1,), (2,), (3,), (4,)]
    assert case.sql("SELECT count(*) FROM likes") == [(1,)]


async def test_what_a_server_refuses_in_a_new_row_is_that_rows_failure(case, store):
    """One bad row in an insert of many."""
    case.sql("ALTER TABLE about ADD CHECK (mood NOT LIKE '%3')")
    run, applied = await fill(store, about(), mood)
    assert applied.outcome == Outcome(read=4, written=3, failed=1)
    assert [i.key for i in await store.issues(run.id)] == [(3,)]


def joined(**more):
    return Spec(
        **{
            "backfill": "joined",
            "version": "2",
            "kind": Source.QUERY,
            "source": "SELECT s.id, s.title || coalesce(:end, '') AS title, "
            "md5(s.title) AS row_hash FROM songs s WHERE NOT s.hidden",
            "key": (KeyPart(column="id"),),
            "fills": ("mood",),
            "stamp": "version",
            "into": "about",
            "into_key": ("song_id",),
            "row_version": "row_hash",
            "params": (("end", "!"),),
        }
        | more
    )


async def test_a_query_is_guarded_by_the_version_it_names(case, store):
    """Its rows are read again in the write; one whose version moved is computed again."""
    await store.inspect(joined())
    _, lease, page = await first_page(store, joined())
    assert page.rows[0]["title"] == "Song 1!"
    case.sql("UPDATE songs SET title = 'Renamed' WHERE id = 4")
    applied = await store.apply(joined(), lease, answered(page, joined(), mood), TERMS)
    assert applied.outcome == Outcome(read=3, written=3)
    assert applied.retry.chunk.keys == ((4,),)
    await process(store, joined(), applied.retry, mood)
    assert case.sql("SELECT mood FROM about WHERE song_id = 4") == [("mood of Renamed!",)]


async def test_a_query_without_versions_asks_for_a_word(case, store):
    """guard="target" is possible, and said in the plan."""
    with pytest.raises(TargetError, match="version"):
        await store.inspect(joined(row_version=None))
    shape = await store.inspect(joined(row_version=None, guard=Guard.TARGET))
    assert any("no version" in w for w in shape.warnings)
    _, applied = await fill(store, joined(row_version=None, guard=Guard.TARGET), mood)
    assert applied.outcome.written == 4


async def test_a_query_whose_key_repeats_is_refused(case, store):
    """Two rows with one key would be written twice."""
    twice = joined(source="SELECT id, title, 'x' AS row_hash FROM songs, generate_series(1, 2)")
    with pytest.raises(TargetError, match="tell its rows apart"):
        await store.survey(twice, Span())


async def test_expressions_fill_another_table_too(case, store):
    """`sql=` over the source's columns, written under the same guards."""
    spec = about(sql=(("mood", "lower(title)"),))
    await store.inspect(spec)
    run = await begin(store, spec)
    (lease,) = await claim(store, run, spec)
    applied = await store.apply_sql(spec, lease, TERMS)
    assert applied.outcome == Outcome(read=4, written=4)
    assert case.sql("SELECT mood, version FROM about WHERE song_id = 3") == [("song 3", 2)]
    await take_back(store, run)
    assert case.sql("SELECT count(*) FROM about") == [(2,)]


async def test_an_upsert_needs_a_key_and_whole_rows(case, store):
    """No unique index, or a required column that nobody fills: refused before anything runs."""
    case.sql("ALTER TABLE about ADD COLUMN needed int NOT NULL DEFAULT 1")
    await store.inspect(about())
    case.sql("ALTER TABLE about ALTER COLUMN needed DROP DEFAULT")
    with pytest.raises(TargetError, match="incomplete"):
        await store.inspect(about())
    case.sql("ALTER TABLE about DROP COLUMN needed, DROP CONSTRAINT about_pkey")
    with pytest.raises(TargetError, match="unique"):
        await store.inspect(about())


@pytest.mark.parametrize(
    ("added", "deleted"),
    [
        ("bool NOT NULL DEFAULT true", True),
        ("int[] DEFAULT '{1,2}'", True),
        ("timestamptz DEFAULT now()", True),
        ("char(5) DEFAULT 'a'", True),
        ("numeric(8, 3) DEFAULT 1.5", True),
        ("jsonb DEFAULT '{}'", True),
        ("int GENERATED ALWAYS AS (song_id + 1) STORED", True),
        ("float8 DEFAULT random()", False),
        ("serial", False),
    ],
)
async def test_a_column_added_later_is_known_by_what_adding_it_gave(case, store, added, deleted):
    """P3: also after its default was changed; where nobody can tell, the row is left alone."""
    spec = about(stamp=None)
    run, _ = await fill(store, spec, lambda row: row["title"])
    case.sql(f"ALTER TABLE about ADD COLUMN later {added}")
    if deleted and "GENERATED" not in added:
        case.sql("ALTER TABLE about ALTER COLUMN later DROP DEFAULT")
    done = await take_back(store, run)
    inserted = 3  # 1 and 2 were there, 6 is hidden
    assert (done.restored, done.changed) == ((inserted, 0) if deleted else (0, inserted))
    assert case.sql("SELECT count(*) FROM about") == [(2 if deleted else 2 + inserted,)]
