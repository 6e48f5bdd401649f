"""`proctor audit`: a random sample of what a run wrote, that anybody can draw again."""

import hashlib
import json
import sqlite3

from contextlib import closing

import psycopg
import pytest

ROWS = 120
CODE = '''
from proctor import backfill, checks, table

@backfill(
    table("songs", key="id", columns=("id", "title")), fills=("mood", "era"), {more}
    checks=[checks.length("mood", most=9), checks.repeats("mood", allowed=0.95)],
)
def moods(song):
    """A short word each."""
    return {{"mood": f"mood {{song['id'] % 7}}", "era": "old" if song["id"] % 2 else "new"}}
'''


class InFile:
    """Songs in a SQLite file."""

    def __init__(self, root, _pg):
        self.path = root / "shop.db"
        self.url = "sqlite:///shop.db"

    def __call__(self, *statements):
        with closing(sqlite3.connect(self.path)) as db, db:
            return [db.execute(text).fetchall() for text in statements][-1]


class InPostgres:
    """The same on Postgres."""

    def __init__(self, _root, pg):
        self.url = pg()

    def __call__(self, *statements):
        with psycopg.connect(self.url, autocommit=True) as db:
            for text in statements:
                found = db.execute(text)
            return found.fetchall() if found.description else []


@pytest.fixture(params=[InFile, InPostgres])
def songs(request, tmp_path, monkeypatch):
    """A hundred and twenty songs, and a way to write to them."""
    monkeypatch.chdir(tmp_path)
    made = request.param(tmp_path, lambda: request.getfixturevalue("pg"))
    made.root = tmp_path
    (tmp_path / "proctor.toml").write_text(
        f'backfills = ["backfills"]\n[env.local]\nstore = "{made.url}"\n'
    )
    made.code = lambda more="": (tmp_path / "backfills.py").write_text(CODE.format(more=more))
    made.code()
    values = ", ".join(f"({n}, 'Song {n}')" for n in range(1, ROWS + 1))
    made(
        "CREATE TABLE songs (id INTEGER PRIMARY KEY, title TEXT, mood TEXT, era TEXT)",
        f"INSERT INTO songs (id, title) VALUES {values}",
    )
    return made


@pytest.fixture
def run(songs, proctor):
    """A run over all of them; its id."""
    return json.loads(proctor("run", "moods", "--json").out)["id"]


def audited(proctor, run, *words):
    """The exit code and the document of an audit."""
    ended = proctor("audit", run, "--json", *words)
    assert ended.out, ended.err
    return ended.code, json.loads(ended.out)


def drawn(run, milestone, count):
    """What the page says that anybody can compute."""
    keys = [str(n) for n in range(1, ROWS + 1)]
    keys.sort(key=lambda k: hashlib.sha256(f"{run}/{milestone}/{k}".encode()).hexdigest())
    return keys[:count]


def test_the_sample_is_drawn_as_the_page_says_and_the_claim_is_exact(songs, run, proctor):
    """P8: of 120 rows 100 are looked at and good, so that at most one of all is bad."""
    code, seen = audited(proctor, run, "--sample", "100", "--milestone", "10%")
    keys = drawn(run, "10%", 100)
    assert code == 0
    assert (seen["population"], seen["rows"], seen["gone"]) == (ROWS, 100, 0)
    assert seen["drawn"] == hashlib.sha256("\n".join(keys).encode()).hexdigest()
    assert [one["key"] for one in seen["shown"]] == [[int(k)] for k in keys[:10]]
    (claim,) = seen["claims"]  # how often a value repeats in a sample says nothing of all rows
    assert (claim["kind"], claim["failures"], claim["rows"]) == ("length", 0, 1)
    assert claim["told"] == "0 of 100: at most 0.9% defective (1 row), 95% sure"
    again = audited(proctor, run, "--sample", "100", "--milestone", "10%")[1]
    assert again["drawn"] == seen["drawn"]
    assert (
        audited(proctor, run, "--sample", "100", "--milestone", "50%")[1]["drawn"]
        != (seen["drawn"])
    )


def test_a_defect_in_the_sample_fails_it_and_one_outside_is_what_the_claim_allows(
    songs, run, proctor
):
    """It judges what stands there now, whoever wrote it."""
    *_, outside = drawn(run, "", ROWS)
    songs(f"UPDATE songs SET mood = 'much too long' WHERE id = {outside}")
    assert audited(proctor, run, "--sample", "60")[0] == 0
    inside = drawn(run, "", 60)[7]
    songs(f"UPDATE songs SET mood = 'much too long' WHERE id = {inside}")
    code, seen = audited(proctor, run, "--sample", "60")
    assert (code, seen["verdict"]) == (1, "fail")
    assert seen["checks"][0]["keys"] == [[int(inside)]]
    assert seen["claims"][0]["told"].startswith("1 of 60: at most 5.9% defective (7 rows)")
    shown = proctor("audit", run, "--sample", "60")
    assert "1 of 60: at most 5.9% defective (7 rows), 95% sure" in " ".join(shown.out.split())


def test_each_stratum_has_a_claim_of_its_own(songs, run, proctor):
    """A claim over all says nothing of a part."""
    _, seen = audited(proctor, run, "--by", "era", "--sample", "60", "--confidence", "99")
    by = {claim["stratum"]: claim for claim in seen["claims"]}
    assert set(by) == {"", "old", "new"}
    assert by["old"]["samples"] + by["new"]["samples"] == by[""]["samples"] == 60
    assert by["old"]["share"] > by[""]["share"]
    assert by["old"]["confidence"] == 0.99
    ended = proctor("audit", run, "--by", "colour")
    assert ended.code == 2
    assert "name one of: era, id, mood, title" in ended.err


def test_what_is_not_there_proves_nothing(songs, run, proctor):
    """P8: no row left to look at is no pass; rows that are gone are counted."""
    first = drawn(run, "", 30)
    songs(f"DELETE FROM songs WHERE id IN ({', '.join(first[:5])})")
    code, seen = audited(proctor, run, "--sample", "30")
    assert (code, seen["rows"], seen["gone"], seen["claims"][0]["samples"]) == (0, 25, 5, 25)
    songs("DELETE FROM songs")
    code, seen = audited(proctor, run, "--sample", "30")
    assert (code, seen["verdict"], seen["claims"]) == (1, "inconclusive", [])
    assert proctor("rollback", run, "--yes").code in (0, 1)
    code, seen = audited(proctor, run)
    assert (code, seen["verdict"], seen["population"]) == (1, "inconclusive", 0)


def test_it_is_on_record_and_shows_nothing_that_is_sensitive(songs, proctor):
    """P11, P12."""
    songs.code('sensitive=("mood", "id"),')
    run = json.loads(proctor("run", "moods", "--json").out)["id"]
    songs(f"UPDATE songs SET mood = 'zanzibarian' WHERE id = {drawn(run, '', 1)[0]}")
    for words in ((), ("--json",)):
        ended = proctor("audit", run, "--by", "mood", "--milestone", "1%", *words)
        assert "zanzibar" not in ended.out + ended.err
        assert "mood 3" not in ended.out + ended.err
    with closing(sqlite3.connect(songs.root / ".proctor" / "ledger.db")) as db:
        told = [
            json.loads(data)
            for name, data in db.execute("SELECT name, data FROM proctor_ledger_events")
            if name == "rows.audited"
        ]
    assert [(one["milestone"], one["population"]) for one in told] == [("1%", ROWS)] * 2
    assert "zanzibar" not in str(told)
