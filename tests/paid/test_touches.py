"""`touches=`: what a called service writes is on record before and after, and can be undone."""

import os
import signal

import pytest

from paid.application import SESSIONS
from paid.songs import until

in_one_store = pytest.mark.parametrize("place", ["sqlite"], indirect=True)


def test_what_the_service_inserts_changes_and_deletes_is_undone_exactly(app):
    """P3: the rollback, asked for by its own word, gives every row of every table back."""
    before = app.data
    run = app.run()
    assert app.data != before
    assert app.touched(run) == {
        "fc_scores": (SESSIONS, 0, 0),
        "profiles": (0, SESSIONS, 0),
        "drafts": (0, 0, SESSIONS),
    }
    scored = app.data
    dry = app.proctor("rollback", run, "--touched", "--dry-run", "--json")
    assert (dry.code, app.data) == (0, scored)
    assert sum(t["inserted"] for t in dry.json["touched"]["undone"]) == SESSIONS
    ended = app.proctor("rollback", run, "--touched", "--yes")
    assert (ended.code, app.data) == (0, before), ended.said


@in_one_store
def test_without_its_word_a_rollback_leaves_them_and_says_by_which_it_would_not(app):
    """P3: nobody can tell the service's writes from others', so a person must ask."""
    run = app.run()
    scored = app.data
    ended = app.proctor("rollback", run, "--yes")
    assert ended.code == 2
    assert f"proctor rollback {run} --touched" in ended.said
    dry = app.proctor("rollback", run, "--dry-run")
    assert "fc_scores: 6 inserted" in dry.said
    assert "--touched" in dry.said
    assert app.data == scored


def test_what_stands_in_the_way_is_left_alone_and_listed(app):
    """P3: somebody else's change, a reference and a new row under an old key stay as they are."""
    run = app.run()
    app.place.sql("UPDATE fc_scores SET score = 0.9 WHERE id = 1")
    app.place.sql("INSERT INTO appeals VALUES (2)")
    app.place.sql("UPDATE profiles SET note = 'mine' WHERE id = 3")
    app.place.sql("INSERT INTO drafts VALUES (4, 4, 'another')")
    app.place.sql("DELETE FROM profiles WHERE id = 5")
    app.place.sql("DELETE FROM fc_scores WHERE id = 6")
    dry = app.proctor("rollback", run, "--touched", "--dry-run", "--json")
    ended = app.proctor("rollback", run, "--touched", "--yes", "--json")
    assert ended.code == 1
    left = {(r["table"], *r["key"]): r["reason"] for r in ended.json["touched"]["left"]}
    assert {k: v.split(":")[0] for k, v in left.items()} == {
        ("fc_scores", "1"): "somebody else changed it after the service wrote it",
        ("fc_scores", "2"): "other rows refer to it",
        ("profiles", "3"): "somebody else changed it after the service wrote it",
        ("drafts", "4"): "a row with its key is there now",
        ("profiles", "5"): "it no longer exists",
    }
    assert ended.json["touched"]["stood_as_before"] == 1
    assert dry.json["touched"]["left"] == ended.json["touched"]["left"]
    (seen,) = app.proctor("status", run, "--json").json["runs"]
    assert (seen["touched"]["undone"], seen["touched"]["left_alone"]) == (3 * SESSIONS - 5, 5)
    assert f"{3 * SESSIONS - 5} undone; 5 left alone by undoing" in app.proctor("status", run).said
    assert app.place.sql("SELECT count(*) FROM appeals") == [(1,)]
    assert sorted(app.place.sql("SELECT id, body FROM drafts"))[3:5] == [
        (4, "another"),
        (5, "draft 5"),
    ]


@in_one_store
def test_named_columns_alone_are_the_services(app):
    """A change of another column is neither captured nor in the way of undoing."""
    app.write(columns=', columns="results_version"')
    run = app.run()
    app.place.sql("UPDATE profiles SET note = 'mine'")
    ended = app.proctor("rollback", run, "--touched", "--yes")
    assert ended.code == 0, ended.said
    assert set(app.place.sql("SELECT results_version, note FROM profiles")) == {("v1.1", "mine")}


def test_a_crash_between_the_call_and_the_second_look_loses_nothing(app):
    """P1, P3: the first look is durable before the call, and a resume keeps it."""
    before = app.data
    app.application.hold.clear()
    process = app.spawn("run", "score", "--json")
    assert app.application.held.wait(60)
    assert app.place.sql("SELECT count(*) FROM fc_scores") != [(1,)], "the service has written"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    app.application.hold.set()
    run = app.run()
    assert sorted(set(app.application.calls)) == list(range(1, SESSIONS + 1))
    assert app.touched(run)["fc_scores"] == (SESSIONS, 0, 0)
    ended = app.proctor("rollback", run, "--touched", "--yes")
    assert (ended.code, app.data) == (0, before), ended.said


@in_one_store
def test_a_call_of_unknown_end_is_told_and_its_rows_are_left(app):
    """P3: nobody guesses what a service wrote of which only the first look is there."""
    app.application.hold.clear()
    process = app.spawn("run", "score", "--json")
    assert app.application.held.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    app.application.hold.set()
    run = until(lambda: app.proctor("status", "--json").json["runs"], "the run")[0]["id"]
    assert app.proctor("cancel", run).code == 0
    scored = app.data
    ended = app.proctor("rollback", run, "--touched", "--yes")
    assert (ended.code, app.data) == (1, scored)
    assert "nobody knows" in ended.said


def test_what_is_done_is_found_done_and_what_failed_is_told_with_its_error(app):
    """P5: a second run calls for what is not done alone; after an undo the service works anew."""
    app.application.wrong.add(4)
    run = app.run(code=1)
    failed = app.proctor("failures", run, "--json").json["failures"]
    assert [(one["key"], "422" in one["reason"]) for one in failed] == [([4], True)]
    app.application.wrong.clear()
    app.application.calls.clear()
    second = app.run()
    assert app.application.calls == [4]
    assert app.proctor("ensure", "score").code == 0
    assert app.proctor("rollback", run, "--touched", "--yes").code == 3, "the newer one goes first"
    for one in (second, run):
        assert app.proctor("rollback", one, "--touched", "--yes").code == 0
    app.run()
    assert len(app.application.done) == 2 * SESSIONS
    assert app.place.sql("SELECT count(*) FROM fc_scores") == [(SESSIONS + 1,)]


def test_beside_a_fill_the_fill_goes_back_without_the_touched_rows(app):
    """P3: what Proctor wrote and what the service wrote are taken back by one word each."""
    before = app.data
    app.write(more='\n    fills="scored_at",', gives='return {"scored_at": "2026"}')
    run = app.run()
    scored = app.data
    assert app.proctor("rollback", run, "--yes").code == 0
    assert app.data == scored | {"sessions": before["sessions"]}
    status = app.proctor("status", run)
    assert "rolled back in part" in status.said
    assert app.proctor("rollback", run, "--touched", "--yes").code == 0
    assert app.data == before


def test_a_script_of_sql_takes_them_back_without_proctor(app):
    """P3: the same statements for hands that have no Proctor."""
    before = app.data
    run = app.run()
    assert app.proctor("rollback", run, "--sql", "undo.sql").code == 0
    assert "still_written" in (app.root / "undo.sql").read_text()
    app.place.script(app.root / "undo.sql")
    assert app.data == before


@in_one_store
def test_a_look_before_the_run_calls_nobody(app):
    """Plan and dry run name the tables, and no sample is paid: it would be in no journal."""
    plan = app.proctor("plan", "score")
    assert plan.code == 0, plan.said
    assert "fc_scores where session_id = :id" in plan.said
    assert app.proctor("dry-run", "score").code == 0
    assert app.proctor("plan", "score", "--paid-sample", "2").code == 2
    assert app.application.calls == []
