"""`proctor check`: the latest rows that are filled in, as they stand."""

import json
import sqlite3

from contextlib import closing

import psycopg
import pytest

import servers

CODE = '''
from proctor import backfill, checks, table

@backfill(
    table("songs", key="id", columns=("id", "title")), fills=("mood", "embedding"), {more}
    checks=[
        checks.leaked_tags("mood", min_samples=3), checks.echo("mood", of="title"),
        checks.vector("embedding", dimension=2), checks.length("mood", most=5, level="warning"),
    ],
)
def moods(song):
    """Never called: what stands there is judged."""
    raise AssertionError
'''


@pytest.fixture(scope="module")
def newest():
    """A server that has pgvector."""
    server = servers.start_postgres(servers.wheel_bindir())
    yield server
    server.close()


@pytest.fixture
def pg(newest):
    """As everywhere, but on this server."""
    url = newest.create_database()
    yield url
    newest.drop_database(url)


@pytest.fixture
def songs(tmp_path, monkeypatch):
    """Thirty filled songs and, behind them, ten that are not; a way to write to them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
    )
    (tmp_path / "backfills.py").write_text(CODE.format(more=""))

    def sql(*statements):
        with closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
            for text in statements:
                found = db.execute(text).fetchall()
        return found

    sql("CREATE TABLE songs (id INTEGER PRIMARY KEY, title, mood, embedding, version)")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
        db.executemany(
            "INSERT INTO songs (title, mood, embedding, version) VALUES (?, ?, ?, '1')",
            [(f"song {n}", "sad", "[0.6, 0.8]") for n in range(30)]
            + [(f"new {n}", None, None) for n in range(10)],
        )
    sql.root = tmp_path
    return sql


def verdicts(ended):
    return {c["kind"]: (c["verdict"], c["samples"], c["failures"]) for c in ended.json["checks"]}


def test_the_latest_filled_rows_are_judged_as_they_stand(songs, proctor):
    songs(
        "UPDATE songs SET mood = '<think>' WHERE id = 30",
        "UPDATE songs SET mood = 'Song 28!', embedding = '[0, 0]' WHERE id = 29",
        "UPDATE songs SET mood = '<think>' WHERE id = 1",
    )
    ended = proctor("check", "moods", "--latest", "20", "--json")
    assert (ended.code, ended.json["verdict"], ended.json["rows"]) == (1, "fail", 20)
    assert verdicts(ended) == {
        "leaked_tags": ("fail", 20, 1),
        "echo": ("fail", 20, 1),
        "vector": ("fail", 20, 1),
        "length": ("fail", 20, 2),
    }
    assert [c["keys"] for c in ended.json["checks"]] == [[[30]], [[29]], [[29]], [[29], [30]]]
    shown = proctor("check", "moods", "--latest", "20")
    assert "1 of 20 rows failed (1: holds <think>)" in " ".join(shown.out.split())


def test_good_rows_pass_and_a_warning_changes_no_verdict(songs, proctor):
    songs("UPDATE songs SET mood = 'very sad' WHERE id = 30")
    ended = proctor("check", "moods", "--json")
    assert (ended.code, ended.json["verdict"]) == (0, "pass")
    assert ended.json["reason"] == "30 rows looked at; 1 warning"


def test_no_data_never_passes(songs, proctor):
    """P8: neither too few rows nor none."""
    for number in (2, 0):
        songs(f"UPDATE songs SET mood = NULL, embedding = NULL WHERE id > {number}")
        ended = proctor("check", "moods", "--json")
        assert (ended.code, ended.json["verdict"], ended.json["rows"]) == (
            1,
            "inconclusive",
            number,
        )


def test_warnings_that_saw_too_few_rows_are_no_pass(songs, proctor):
    """P8: where a backfill has no other checks."""
    code = (songs.root / "backfills.py").read_text()
    checks = 'checks=[checks.length("mood", most=5, level="warning", min_samples=50)],\n)'
    start, end = code.index("checks=["), code.index(")\ndef moods")
    (songs.root / "backfills.py").write_text(code[:start] + checks + code[end + 1 :])
    ended = proctor("check", "moods", "--json")
    assert (ended.code, ended.json["verdict"]) == (1, "inconclusive")


def test_with_a_stamp_only_rows_of_the_present_version_are_looked_at(songs, proctor):
    (songs.root / "backfills.py").write_text(CODE.format(more='version="2", stamp="version",'))
    songs("UPDATE songs SET version = '2' WHERE id BETWEEN 11 AND 20")
    assert proctor("check", "moods", "--json").json["rows"] == 10


def test_a_sensitive_key_is_not_shown(songs, proctor):
    """P12: neither here nor beside a preview."""
    (songs.root / "backfills.py").write_text(
        CODE.format(more='sensitive=("title",),').replace('key="id"', 'key=("title", "id")')
    )
    songs("UPDATE songs SET mood = '<think>', title = 'Zanzibar' WHERE id = 30")
    for words in (("check", "moods"), ("check", "moods", "--json")):
        ended = proctor(*words)
        assert ended.code == 1
        assert "Zanzibar" not in ended.out + ended.err


def test_it_writes_nothing_and_is_on_record(songs, proctor):
    """P11."""
    before = songs("SELECT * FROM songs")
    tables = songs("SELECT name FROM sqlite_master")
    proctor("check", "moods")
    assert songs("SELECT * FROM songs") == before
    assert songs("SELECT name FROM sqlite_master") == tables
    with closing(sqlite3.connect(songs.root / ".proctor" / "ledger.db")) as db:
        (kept,) = db.execute(
            "SELECT data FROM proctor_ledger_events WHERE name = 'rows.checked'"
        ).fetchall()
    assert json.loads(kept[0])["verdict"] == "pass"


def test_a_backfill_without_ready_checks_is_refused(songs, proctor):
    code = CODE.format(more="")
    (songs.root / "backfills.py").write_text(
        code[: code.index("    checks=[")] + ")" + code[code.index("\ndef moods") :]
    )
    ended = proctor("check", "moods")
    assert ended.code == 2
    assert "has no ready checks" in ended.err
    assert "checks.leaked_tags" in ended.err


def test_another_table_on_postgres_with_vectors(songs, proctor, pg):
    """The rows of `into=` are judged, and compared with the rows that they were made from."""
    (songs.root / "proctor.toml").write_text(
        f'backfills = ["backfills"]\n[env.local]\nstore = {json.dumps(pg)}\n'
    )
    (songs.root / "backfills.py").write_text(CODE.format(more='into=table("about", key="song"),'))
    with psycopg.connect(pg, autocommit=True) as db:
        db.execute("CREATE EXTENSION vector")
        db.execute("CREATE TABLE songs (id bigint PRIMARY KEY, title text)")
        db.execute("CREATE TABLE about (song bigint PRIMARY KEY, mood text, embedding vector(2))")
        db.execute("INSERT INTO songs SELECT n, 'song ' || n FROM generate_series(1, 30) n")
        db.execute(
            "INSERT INTO about SELECT n, CASE n WHEN 19 THEN 'Song 19' ELSE 'sad' END,"
            " CASE n WHEN 20 THEN '[0,0]'::vector ELSE '[0.6,0.8]' END"
            " FROM generate_series(1, 20) n"
        )
    ended = proctor("check", "moods", "--latest", "10", "--json")
    assert verdicts(ended) == {
        "leaked_tags": ("pass", 10, 0),
        "echo": ("fail", 10, 1),
        "vector": ("fail", 10, 1),
        "length": ("fail", 10, 1),
    }, ended.err
    assert [c["keys"] for c in ended.json["checks"][1:]] == [[[19]], [[20]], [[19]]]
