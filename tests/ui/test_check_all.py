"""`proctor check --all`: what the database can judge is judged over every filled row."""

import sqlite3

from contextlib import closing

import pytest

CODE = '''
from datetime import timedelta
from proctor import backfill, checks, table

{code}
@backfill(table("songs", key="id"), fills=("mood", "{fill}"), checks=[{checks}])
def moods(song):
    """Never called: what stands there is judged."""
    raise AssertionError
'''


@pytest.fixture
def songs(tmp_path, monkeypatch):
    """Four hundred filled songs, the last hundred of no album; a way to write to them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["backfills"]\n[env.local]\nstore = "sqlite:///shop.db"\n'
    )

    def sql(*statements):
        with closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
            for text in statements:
                found = db.execute(text).fetchall()
        return found

    def told(checks, fill="score", code=""):
        text = CODE.format(checks=checks, fill=fill, code=code)
        (tmp_path / "backfills.py").write_text(text)

    sql(
        "CREATE TABLE albums (id INTEGER PRIMARY KEY)",
        "INSERT INTO albums VALUES (1), (2)",
        "CREATE TABLE songs (id INTEGER PRIMARY KEY, mood TEXT, score REAL, album INTEGER)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) "
        "INSERT INTO songs SELECT i, 'sad', 0.5, CASE WHEN i > 300 THEN NULL ELSE 1 + i % 2 END "
        "FROM n",
    )
    sql.told = told
    return sql


def only(ended):
    (check,) = ended.json["checks"]
    return check


def test_a_fault_far_behind_the_latest_rows_is_found(songs, proctor):
    """The latest 200 do not show it; counted over all rows it is there, with its key."""
    songs.told('checks.one_of("mood", ("sad",))')
    songs("UPDATE songs SET mood = 'bad' WHERE id IN (3, 7)")
    assert proctor("check", "moods").code == 0
    ended = proctor("check", "moods", "--all", "--json")
    check = only(ended)
    assert (ended.code, check["verdict"], check["over"]) == (1, "fail", "all rows")
    assert (check["samples"], check["failures"], check["keys"]) == (400, 2, [[3], [7]])
    assert ended.json["rows"] == 400
    assert "2 of 400 rows failed (2: is another value)" in proctor("check", "moods", "--all").out


def test_at_most_twenty_keys_are_kept(songs, proctor):
    songs.told('checks.between("score", 0.6, 1)')
    assert len(only(proctor("check", "moods", "--all", "--json"))["keys"]) == 20


def test_what_only_python_can_judge_is_said_to_be_of_the_latest(songs, proctor):
    songs.told('checks.cut_off("mood", level="warning"), checks.lower_case("mood")')
    ended = proctor("check", "moods", "--all", "--latest", "50", "--json")
    assert [check["over"] for check in ended.json["checks"]] == ["the latest 50 rows", "all rows"]
    shown = proctor("check", "moods", "--all", "--latest", "50").out
    assert "of the latest 50 rows" in shown
    assert "of all rows" in shown


def test_allowed_and_min_samples_hold_for_counts_too(songs, proctor):
    songs("UPDATE songs SET score = 2 WHERE id <= 4")
    for words, verdict in (
        ("allowed=0.01", "pass"),
        ("allowed=3", "fail"),
        ("min_samples=401", "inconclusive"),
    ):
        songs.told(f'checks.between("score", 0, 1, {words})')
        assert only(proctor("check", "moods", "--all", "--json"))["verdict"] == verdict


def test_no_row_is_no_pass(songs, proctor):
    """P8."""
    songs.told('checks.lower_case("mood"), checks.sql("low", "score < 1")')
    songs("UPDATE songs SET mood = NULL, score = NULL")
    ended = proctor("check", "moods", "--all", "--json")
    assert (ended.code, ended.json["verdict"]) == (1, "inconclusive")
    assert {check["verdict"] for check in ended.json["checks"]} == {"inconclusive"}


def test_a_check_with_where_looks_at_its_own_rows(songs, proctor):
    """Over all rows, and among the latest of those that it takes in."""
    songs.told('checks.between("score", 0.6, 1, where="album = 1")')
    for words, samples in (((), 100), (("--all",), 150)):
        check = only(proctor("check", "moods", "--latest", "100", *words, "--json"))
        assert (check["samples"], check["failures"]) == (samples, samples)
    songs.told('checks.cut_off("mood", where="album = 2")')
    assert only(proctor("check", "moods", "--latest", "100", "--all", "--json"))["samples"] == 100


def test_a_condition_has_to_hold_in_every_filled_row(songs, proctor):
    """Where it is null nobody can tell. Without --all, too: only the database can judge it."""
    songs.told('checks.sql("first albums", "album < 2")')
    ended = proctor("check", "moods", "--json")
    check = only(ended)
    assert (check["field"], check["over"], ended.code) == ("first albums", "all rows", 1)
    assert (check["samples"], check["failures"], check["unsure"]) == (300, 150, 100)
    assert check["keys"][0] == [1]


def test_what_refers_to_nothing_is_found(songs, proctor):
    songs.told('checks.refers("album", "albums", "id")', fill="album")
    assert only(proctor("check", "moods", "--json"))["verdict"] == "pass"
    songs("UPDATE songs SET album = 9 WHERE id = 11")
    check = only(proctor("check", "moods", "--json"))
    assert (check["failures"], check["keys"], check["unsure"]) == (1, [[11]], 100)
    assert "is no id of albums" in check["reason"]


@pytest.mark.parametrize(
    "check",
    [
        'checks.sql("wrong", "nothing > 1")',
        'checks.sql("wrong", "score >")',
        'checks.refers("mood", "nowhere", "id")',
        'checks.sql("wrong", "score = :nobody")',
        'checks.lower_case("mood", where="nothing = 1")',
    ],
)
def test_a_check_that_the_database_cannot_judge_is_inconclusive(songs, proctor, check):
    """Never green; and the others are judged all the same."""
    songs.told(f'{check}, checks.between("score", 0, 1)')
    ended = proctor("check", "moods", "--all", "--json")
    assert [one["verdict"] for one in ended.json["checks"]] == ["inconclusive", "pass"]
    assert "could not judge" in ended.json["checks"][0]["reason"]
    assert ended.code == 1


def test_a_condition_that_writes_writes_nothing(songs, proctor):
    songs.told('checks.sql("x", "score < 1) AS said FROM songs); DELETE FROM songs; --")')
    before = songs("SELECT count(*) FROM songs")
    assert proctor("check", "moods", "--json").json["verdict"] == "inconclusive"
    assert songs("SELECT count(*) FROM songs") == before


def test_a_stale_stamp_is_found_by_both(songs, proctor):
    songs(
        "ALTER TABLE songs ADD COLUMN at TEXT",
        "UPDATE songs SET at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', CASE id WHEN 399 "
        "THEN '-8 days' WHEN 400 THEN '+1 hour' ELSE '-6 days' END)",
    )
    songs.told('checks.stamped("at", within=timedelta(days=7))', fill="at")
    for words in ((), ("--all",)):
        check = only(proctor("check", "moods", *words, "--json"))
        assert (check["failures"], check["keys"]) == (2, [[399], [400]])


def test_a_function_judges_values(songs, proctor):
    """One that raises has not judged: that is no pass."""
    code = """
def judged(mood):
    if mood == "raise": raise KeyError(mood)
    return mood == "sad" or "is not sad"

def both(score, song):
    return score <= song["id"]
"""
    told = 'checks.python("mood", judged), checks.python("score", both, source=True)'
    songs.told(told, code=code)
    songs("UPDATE songs SET mood = 'glad' WHERE id = 400")
    songs("UPDATE songs SET mood = 'raise' WHERE id = 1")
    ended = proctor("check", "moods", "--latest", "400", "--json")
    first, second = ended.json["checks"]
    assert (first["failures"], first["unsure"], first["keys"]) == (1, 1, [[400]])
    assert "is not sad" in first["reason"]
    assert "KeyError" in first["reason"]
    assert second["verdict"] == "pass"
