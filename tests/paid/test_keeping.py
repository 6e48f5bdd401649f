"""Kept answers: handed out as they came, and forgotten only when no run needs them."""

import asyncio
import json
import sqlite3

from contextlib import aclosing, closing

import pytest

from proctor.app.keeping import export
from proctor.app.wiring import open_app
from proctor.config import load


def age(songs):
    """Make all answers old."""
    with closing(sqlite3.connect(songs.root / ".proctor" / "ledger.db")) as db, db:
        db.execute("UPDATE proctor_ledger_answers SET at = '2020-01-01T00:00:00.000000+00:00'")


@pytest.fixture
def aged(songs):
    """A run that is over, and whose answers are old."""
    ended = songs.run()
    assert ended.code == 0, ended.said
    age(songs)
    songs.id = ended.json["id"]
    return songs


def prune(songs, *words):
    """`answers prune`, as a script."""
    ended = songs.proctor("answers", "prune", "--json", "--yes", *words)
    assert ended.code == 0, ended.said
    return ended.json


def events(songs, name):
    """What is on record."""
    with closing(sqlite3.connect(songs.root / ".proctor" / "ledger.db")) as db:
        rows = db.execute(
            "SELECT who, run, data FROM proctor_ledger_events WHERE name = ?", (name,)
        ).fetchall()
    return [(who, run, json.loads(data)) for who, run, data in rows]


def test_export_gives_every_answer_as_it_came(songs):
    """One document a line, with what it cost; on record (P11)."""
    run = songs.run().json["id"]
    ended = songs.proctor("answers", "export", "--backfill", "about")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert len({line["key"] for line in lines}) == len(lines) == 40
    said = [json.loads(line["reply"]["text"]) for line in lines]
    assert {(s["emotions"], s["confidence"]) for s in said} == set(songs.rows().values())
    assert {(line["run"], line["backfill"], line["finish"]) for line in lines} == {
        (run, "about", "stop")
    }
    assert sum(line["usage"]["input_tokens"] for line in lines) == songs.books.input_tokens
    assert events(songs, "answers.exported") == [("mira", "", {"backfill": "about", "answers": 40})]


def test_an_export_that_is_broken_off_is_on_record_with_what_went_out(songs):
    """P11: as where its reader takes the first lines and goes away."""
    songs.run()

    async def first():
        async with (
            open_app(load(songs.root), who="mira") as app,
            aclosing(export(app, backfill="about")) as documents,
        ):
            return await anext(documents)

    asyncio.run(first())
    assert events(songs, "answers.exported") == [("mira", "", {"backfill": "about", "answers": 1})]


def test_export_writes_a_new_file_and_no_other(songs):
    songs.run()
    assert songs.proctor("answers", "export", "--out", "a.jsonl").code == 0
    assert len((songs.root / "a.jsonl").read_text().splitlines()) == 40
    again = songs.proctor("answers", "export", "--out", "a.jsonl")
    assert again.code == 2
    assert "there already" in again.said
    assert songs.proctor("answers", "export", "--run", "another").out == ""


def test_export_withholds_answers_about_sensitive_rows(songs):
    """P12: a reply may repeat what it was asked; no face shows it."""
    text = (songs.root / "backfills.py").read_text()
    songs.write(text.replace('version="1"', 'version="1", sensitive=("emotions",)'))
    assert songs.run().code == 0
    ended = songs.proctor("answers", "export")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert len(lines) == 40
    assert {(line["reply"], line["withheld"]) for line in lines} == {(None, True)}
    feelings = {emotions for emotions, _ in songs.rows().values()}
    assert not any(feeling in ended.said for feeling in feelings)


def test_what_verify_needs_is_not_forgotten(aged):
    """As long as the undo data is there; then it goes, on record, and is paid again."""
    told = prune(aged, "--older-than", "90d")
    assert told["answers"] == 0
    assert told["runs"][0]["stays_because"] == "a run that used it can still be verified"
    assert aged.proctor("rollback", aged.id, "--yes").code == 0
    assert prune(aged, "--older-than", "90d", "--dry-run")["runs"][0]["answers"] == 40
    assert prune(aged, "--older-than", "90d")["answers"] == 40
    assert events(aged, "answers.pruned") == [
        ("mira", aged.id, {"backfill": "about", "answers": 40})
    ]
    assert aged.run().code == 0
    assert (aged.books.calls, aged.books.paid_again) == (80, 40)


def test_what_a_run_that_is_not_over_may_need_is_not_forgotten(songs):
    """It would pay for them again when it goes on."""
    songs.configure(daily=25)
    assert songs.run("--no-wait").code == 3
    age(songs)
    told = prune(songs, "--older-than", "90d")
    assert told["runs"][0]["stays_because"] == "a run of its backfill is not over"
    songs.configure()
    assert songs.run("--accept-changes", "providers").code == 0
    assert songs.books.paid_again == 0


def test_the_bounds_of_the_file_hold_and_doctor_says_so(aged):
    """`keep_for` and `most_mb`; without them a length must be typed."""
    ended = aged.proctor("answers", "prune", "--yes")
    assert ended.code == 2
    assert "nothing says how long" in ended.said
    assert "40 answers kept, 0.0 MB; since 2020-01-01; kept for good" in aged.proctor("doctor").said
    aged.configure(others='[answers]\nkeep_for = "90d"\nmost_mb = 0.001')
    said = aged.proctor("doctor").said
    assert "kept for 90 days, at most 0.0 MB; more than that: proctor answers prune" in said
    assert aged.proctor("rollback", aged.id, "--yes").code == 0
    assert prune(aged)["answers"] == 40
    assert prune(aged)["runs"] == []


def test_what_was_written_is_compared_though_the_code_cannot_be_called_now(songs):
    """P4, P8: a second provider leaves the function's own unnamed; half of a verdict is no pass."""
    run = songs.run().json["id"]
    songs.configure(
        others='[providers.second]\nmodel = "openai:m"\nprice = { input = 1, output = 1 }'
    )
    seen = songs.proctor("verify", run, "--json")
    assert (seen.code, seen.json["verdict"]) == (1, "inconclusive"), seen.said
    assert (seen.json["held"], seen.json["recomputed"]) == (40, 0)
    assert (
        "40 of 40 rows hold what was written; none could be computed again" in seen.json["reason"]
    )
    assert "no provider was named" in seen.json["reason"]
