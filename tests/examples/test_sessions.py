"""`proctor demo sessions`: an application that writes its own tables, called, killed and undone."""

import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The whole demo, once: (its document, what it said, its folder)."""
    folder = tmp_path_factory.mktemp("demo") / "sessions"
    told = subprocess.run(
        [sys.executable, "-m", "proctor", "demo", "sessions", "--json", "--dir", str(folder)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout), told.stderr, folder


def test_it_is_killed_resumed_and_taken_back_row_for_row(played):
    """P2, P3: all 39 sessions end scored, and what the application wrote goes back."""
    document, said, _ = played
    assert (document["scored"], document["identical"]) == (39, True)
    assert "$ kill -9 " in said
    assert said.count(" --touched --yes") == 4


def test_the_applications_own_books_say_that_nothing_was_done_twice(played):
    """P5: calls made again are those in flight at the kill, and it knows them."""
    document, _, _ = played
    assert (document["worked_twice"], document["answered_429"]) == (0, 0)
    assert document["calls"] >= 79


def test_each_group_has_a_log_with_its_sessions_and_what_failed(played):
    """The session that cannot be scored stands in its group's log, with the error."""
    document, _, folder = played
    logs = {name: json.loads((folder / name).read_text()) for name in document["logs"]}
    units = [unit for log in logs.values() for unit in log["units"]["listed"]]
    assert len(units) == 39
    (wrong,) = [unit for unit in units if unit["state"] != "completed"]
    assert "session s-011 has no responses" in wrong["reason"]
    assert wrong in logs["logs/early.json"]["units"]["listed"]
    touched = {t["table"] for log in logs.values() for t in log["touched"]["rows"]}
    assert touched == {"fc_scores", "profiles"}
    assert list(folder.glob("rollback_*.sql"))
    assert "Rows of the called service" in (folder / "backfill_summary.md").read_text()
