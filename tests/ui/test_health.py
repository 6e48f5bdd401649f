"""`proctor health`: what lacks its fill, why, and a mini plan that is run as it is."""

import json
import shutil
import sqlite3
import subprocess
import sys

from contextlib import closing
from pathlib import Path

import pytest

from proctor.ui.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"
CODE = '''
from proctor import ErrorBudget, Refuse, Skip, backfill, table

@backfill(table("items", key="id"), fills="normal", version="1", budget=ErrorBudget(share=1.0))
def fill(row):
    """Some rows it cannot do, as long as their name says so."""
    match row["name"]:
        case "skip":
            return Skip("later")
        case "refuse":
            return Refuse("not this one")
        case "fail":
            raise ValueError("no")
    return {"normal": row["name"].upper()}
'''
ITEMS = (
    "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, created {time}, epoch INTEGER, "
    "normal TEXT)"
)


@pytest.fixture(params=["sqlite", "postgres"])
def project(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backfills.py").write_text(CODE)
    if request.param == "sqlite":
        url = "sqlite:///shop.db"

        def sql(text):
            with closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
                return db.execute(text).fetchall()
    else:
        import psycopg

        url = request.getfixturevalue("pg")

        def sql(text):
            with psycopg.connect(url, autocommit=True) as db:
                found = db.execute(text)
                return found.fetchall() if found.description else []

    (tmp_path / "proctor.toml").write_text(
        f'backfills = ["backfills"]\nledger = "sqlite:///ledger.db"\n[env.local]\nstore = "{url}"\n'
    )
    sql(ITEMS.format(time="TEXT" if request.param == "sqlite" else "timestamptz"))
    for number, name in enumerate(("a", "skip", "b", "refuse", "fail", "c"), start=1):
        sql(f"INSERT INTO items VALUES ({number}, '{name}', '2026-11-0{number}', {number}, NULL)")
    return sql


@pytest.fixture
def call(capsys):
    def call(*words):
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_nothing_lacks_where_all_is_filled(project, call, tmp_path):
    project("UPDATE items SET normal = 'x'")
    code, said = call("health", "fill", "--out", "mini.json")
    assert (code, said["verdict"], said["lacking"], said["plan"]) == (0, "pass", 0, None)
    assert not (tmp_path / "mini.json").exists()


def test_rows_that_no_run_has_read_are_told_as_such(project, call):
    code, said = call("health", "fill")
    assert (code, said["verdict"], said["lacking"]) == (1, "fail", 6)
    assert said["reasons"] == {"never read": 6}


def test_each_reason_is_counted_by_what_the_runs_say(project, call):
    assert call("run", "fill", "--yes")[0] in (0, 1)
    project("INSERT INTO items VALUES (7, 'new', '2026-11-07', 7, NULL)")
    code, said = call("health", "fill")
    assert code == 1
    assert said["reasons"] == {
        "skipped": 1,
        "refused": 1,
        "failed": 1,
        "arrived since the run": 1,
    }
    assert {"key": [5], "reason": "failed"} in said["shown"]
    project("INSERT INTO items VALUES (8, 'newer', '2026-11-08', 8, NULL)")
    call("run", "fill", "--keys", "8", "--yes")  # a run of one key says nothing of the others
    assert call("health", "fill")[1]["reasons"]["arrived since the run"] == 1


def test_the_mini_plan_runs_as_it_is_and_does_nothing_the_second_time(project, call):
    """It names exactly those rows; what it filled is no drift."""
    call("run", "fill", "--yes")
    project("UPDATE items SET name = 'mended' WHERE name IN ('skip', 'refuse', 'fail')")
    project("INSERT INTO items VALUES (7, 'new', '2026-11-07', 7, NULL)")
    code, said = call("health", "fill", "--out", "mini.json")
    assert (code, said["keys"]) == (1, 4)
    project("INSERT INTO items VALUES (8, 'newer', '2026-11-08', 8, NULL)")
    code, first = call("run", "fill", "--plan", "mini.json")
    assert (code, first["buckets"]["written"]) == (0, 4)
    code, second = call("run", "fill", "--plan", "mini.json")
    assert (code, second["buckets"]["written"]) == (0, 0)
    assert project("SELECT id FROM items WHERE normal IS NULL") == [(8,)]
    code, said = call("health", "fill", "--out", "mini.json")
    assert (said["lacking"], said["keys"]) == (1, 1)


def test_a_mini_plan_that_is_written_is_not_asked_for_again(project, capsys):
    """What to type is what runs it."""
    project("DELETE FROM items WHERE name IN ('skip', 'refuse', 'fail')")
    main(["health", "fill", "--out", "mini.json"])
    told = " ".join(capsys.readouterr().out.split())
    assert "write it with --out" not in told
    assert "`proctor run fill --plan mini.json`" in told


def test_the_mini_plan_is_the_same_each_time_it_is_made(project, call, tmp_path):
    _, first = call("health", "fill", "--out", "one.json")
    _, second = call("health", "fill", "--out", "two.json")
    assert first["plan"] == second["plan"] != None  # noqa: E711 - of both


def test_a_mini_plan_that_was_edited_is_refused(project, call, tmp_path):
    call("health", "fill", "--limit", "2", "--out", "mini.json")
    plan = json.loads((tmp_path / "mini.json").read_text())
    plan["span"]["keys"].append([6])
    (tmp_path / "mini.json").write_text(json.dumps(plan))
    code, said = call("run", "fill", "--plan", "mini.json")
    assert (code, said["error"]["kind"]) == (3, "PlanVoid")


def test_more_rows_than_a_mini_plan_names_are_said_and_taken_by_the_next(project, call):
    filled = []
    for _ in range(2):
        code, said = call("health", "fill", "--limit", "3", "--out", "mini.json")
        assert (code, said["keys"]) == (1, 3)
        filled.append(said["capped"])
        project("UPDATE items SET name = 'well'")
        assert call("run", "fill", "--plan", "mini.json")[0] == 0
    assert filled == [True, False]
    assert call("health", "fill")[0] == 0


def test_only_rows_since_a_date_are_looked_at(project, call):
    code, said = call("health", "fill", "--since", "created=2026-11-05", "--out", "mini.json")
    assert (code, said["lacking"]) == (1, 2)
    assert [one["key"] for one in said["shown"]] == [[5], [6]]
    project("UPDATE items SET name = 'well'")
    _, ran = call("run", "fill", "--plan", "mini.json")
    assert ran["buckets"]["written"] == 2
    assert call("health", "fill", "--since", "created=2026-11-05")[0] == 0
    assert call("health", "fill")[0] == 1


def test_a_row_without_a_date_is_not_taken_for_an_old_one(project, call):
    project("UPDATE items SET created = NULL WHERE id = 1")
    _, said = call("health", "fill", "--since", "created=2026-11-06")
    assert [one["key"] for one in said["shown"]] == [[1], [6]]


def test_numbers_are_compared_with_numbers(project, call):
    _, said = call("health", "fill", "--since", "epoch=6")
    assert said["lacking"] == 1


@pytest.mark.parametrize(
    "since", ["epoch=2026-11-06", "nothing=2026-11-06", "2026-11-06", "created=", "=2026-11-06"]
)
def test_a_since_that_cannot_be_compared_is_refused(project, call, since):
    """On SQLite every number is below every text: nothing would ever be found."""
    code, said = call("health", "fill", "--since", since)
    assert code == 2, said
    assert said["error"]["fix"]


def test_the_example_sessions_are_looked_at_group_by_group(tmp_path, monkeypatch, call):
    """examples/sessions as it is: a grid of 39, none of which was scored."""
    folder = tmp_path / "sessions"
    shutil.copytree(
        EXAMPLES / "sessions", folder, ignore=shutil.ignore_patterns("*.db", ".proctor")
    )
    subprocess.run([sys.executable, "seed.py"], cwd=folder, check=True, capture_output=True)
    monkeypatch.chdir(folder)
    for name in ("APP_URL", "SERVICE_KEY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    found = {}
    for group in ("pilot", "early", "late"):
        code, said = call("health", f"score_{group}", "--out", f"{group}.json")
        found[group] = (code, said["lacking"], said["keys"], said["reasons"])
    assert found == {
        "pilot": (1, 5, 5, {"never read": 5}),
        "early": (1, 14, 14, {"never read": 14}),
        "late": (1, 20, 20, {"never read": 20}),
    }
    code, said = call("health", "score_late", "--since", "session=s-038")
    assert [one["key"] for one in said["shown"]] == [["s-038"], ["s-039"]]


def test_it_writes_a_page_and_nothing_else(project, call, tmp_path):
    call("run", "fill", "--yes")
    before = project("SELECT * FROM items ORDER BY id")
    call("health", "fill", "--report", "prod_health_check.md", "--out", "mini.json")
    page = (tmp_path / "prod_health_check.md").read_text()
    assert "**fail**: 3 rows lack what should be there" in page
    assert "| failed | 1 |" in page
    assert "`proctor run fill --plan mini.json`" in page
    assert project("SELECT * FROM items ORDER BY id") == before


def test_the_record_says_that_somebody_looked(project, call, tmp_path):
    call("health", "fill")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        ((data,),) = db.execute(
            "SELECT data FROM proctor_ledger_events WHERE name = 'health.checked'"
        ).fetchall()
    assert json.loads(data)["reasons"] == {"never read": 6}
