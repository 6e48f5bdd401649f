"""`proctor demo jobs`: vectors on Postgres with pgvector, by updates alone, then again next day."""

import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The whole demo, once: (its document, what it said)."""
    folder = tmp_path_factory.mktemp("demo") / "jobs"
    told = subprocess.run(
        [sys.executable, "-m", "proctor", "demo", "jobs", "--json", "--dir", str(folder)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout), told.stderr


def test_every_job_is_filled_by_an_update_and_never_by_an_insert(played):
    """P2, P10: killed, resumed, and no row more than before; a bad one stops no other."""
    document, said = played
    assert document["inserted"] == 0
    assert document["rows"] == 2500
    assert document["filled_before"] < 750
    assert document["filled"] == 2495  # three are refused, and two have no text
    assert "$ kill -9 " in said
    assert "not one INSERT" in said
    assert "updated_at and all that people wrote is as it was" in said


def test_the_next_day_fills_what_is_new_or_edited(played):
    """Sixty jobs appear, forty are edited, and three are refused again; nothing else is read."""
    document, said = played
    assert document["read_the_next_day"] == 103
    assert "60 new jobs and 40 edited ones were filled" in said


def test_both_runs_are_undone_to_the_byte(played):
    """P3: newest first, also where a job was edited in between."""
    document, said = played
    assert document["identical"]
    assert said.count("$ proctor rollback ") == 2
