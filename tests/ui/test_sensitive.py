"""P12: no face shows a sensitive field: neither a value nor the key that holds one."""

import json
import re
import sqlite3

from contextlib import closing

import psycopg
import pytest

BACKFILLS = '''
from proctor import ErrorBudget, Skip, backfill, table

PEOPLE = table("people", key=("email", "n"))
SECRET = ("email", "phone", "normal", "spelled")

@backfill(PEOPLE, fills="normal", version="1", sensitive=SECRET, budget=ErrorBudget(share=1.0))
def fill(row):
    """Spell a number as all do."""
    if row["n"] == 3:
        raise ValueError(f"cannot call {row['phone']}")
    if row["n"] == 4:
        return Skip(f"{row['email']} said no")
    return {"normal": row["phone"] + ("!" if row["n"] == 5 else "")}

@backfill(PEOPLE, fills="normal", version="1", sensitive=SECRET, name="wrong")
def wrong(row):
    """Give what is not declared."""
    return {"normal": {row["phone"]}}

inside = backfill(
    PEOPLE, fills="spelled", sql="lower(phone)", name="inside", sensitive=SECRET
)
'''
ROWS = [(f"Canary{n:02}@example.org", n, f"CANARY-{n:04}") for n in range(30)]
CANARY = re.compile(".{0,60}canary.{0,20}", re.IGNORECASE)


@pytest.fixture(params=["sqlite", "postgres"])
def people(request, shop, pg):
    """Thirty people whose every text is sensitive; a way to write to their table."""
    create = (
        "CREATE TABLE people (email text, n integer, phone text, "
        "normal text CHECK (normal NOT LIKE '%!'), spelled text, PRIMARY KEY (email, n))"
    )
    insert = "INSERT INTO people (email, n, phone) VALUES (?, ?, ?)"

    def lite(sql, rows=((),)):
        with closing(sqlite3.connect(shop / "people.db")) as db, db:
            db.executemany(sql, rows)

    def server(sql, rows=((),)):
        with psycopg.connect(pg) as db, db.cursor() as cursor:
            cursor.executemany(sql.replace("%", "%%").replace("?", "%s"), rows)

    ask = lite if request.param == "sqlite" else server
    ask(create)
    ask(insert, ROWS)
    (shop / "backfills.py").write_text(BACKFILLS)
    (shop / "proctor.toml").write_text(
        'backfills = ["backfills"]\nledger = "sqlite:///ledger.db"\n[env.local]\n'
        f"store = {json.dumps('sqlite:///people.db' if request.param == 'sqlite' else pg)}\n"
        '[run]\nchunk_rows = 10\nlog_file = "proctor.log"\n'
    )
    return ask


@pytest.fixture
def silent(proctor):
    """Run a command line whose every word is harmless."""

    def call(*words, code=0):
        ended = proctor(*words, "--log", "json", "--debug")
        assert ended.code == code, ended.err
        assert CANARY.findall(ended.out + ended.err) == [], words
        return ended

    return call


def kept(shop):
    """All that Proctor keeps outside of the database: ledger, logs, reports."""
    files = [shop / "ledger.db", shop / "proctor.log", *(shop / ".proctor").rglob("*.*")]
    assert {file.suffix for file in files} >= {".db", ".log", ".md", ".html", ".json"}
    return b"".join(file.read_bytes() for file in files if file.is_file()).decode(errors="replace")


@pytest.mark.parametrize("name", ["fill", "inside"])
def test_no_face_shows_what_is_sensitive(people, shop, silent, name):
    """Plan, dry run, run, failures, verify, reports, rollback; and the files behind them."""
    for words in (["plan", name], ["dry-run", name], ["list"], ["doctor"], ["ensure", name]):
        silent(*words, code=1 if words[0] == "ensure" else 0)
        silent(*words, "--json", code=1 if words[0] == "ensure" else 0)
    run = silent("run", name, "--json").json["id"]
    people("UPDATE people SET normal = 'Canary', spelled = 'Canary' WHERE n = 7")
    people("UPDATE people SET phone = 'Canary-X' WHERE n = 8")
    for words in (
        ["failures", run],
        ["status"],
        ["status", run],
        ["report", run],
        ["rollback", run, "--dry-run"],
        ["prune", "--dry-run"],
    ):
        silent(*words)
        silent(*words, "--json")
    silent("report", run, "--format", "html")
    silent("verify", run, code=1)
    seen = silent("verify", run, "--json", code=1).json
    assert [found["key"] for found in seen["left"]] == [["•••", 7]]
    assert silent("rollback", run, "--json", "--yes", code=1).json["undone"]["changed"] == 1
    assert CANARY.findall(kept(shop)) == []


def test_keys_that_were_typed_are_not_shown_again(people, shop, silent, proctor):
    """Who typed them knows them; who looks at the run later, or at the record, need not."""
    part = ("--from", "Canary02@example.org,2", "--to", "Canary09@example.org,9")
    run = proctor("run", "fill", *part, "--json").json["id"]
    assert silent("status", run, "--json").json["runs"][0]["span"]["start"] == ["•••", 2]
    silent("status", run)
    silent("status", "--json")
    silent("report", run, "--json")
    silent("ensure", "fill", "--json", code=1)
    proctor("rollback", run, "--from", "Canary05@example.org,5", "--yes")
    acts = silent("report", run, "--json").json["actions"]
    assert 'start=["•••", 5]' in " ".join(act["change"] for act in acts)
    assert CANARY.findall(kept(shop)) == []


def test_no_error_quotes_what_is_sensitive(people, shop, silent):
    """Neither its three parts, nor its traceback, nor the log."""
    run = silent("run", "wrong", "--json", code=2).json["id"]
    silent("report", run)
    silent("dry-run", "wrong", code=2)
    assert CANARY.findall(kept(shop)) == []
