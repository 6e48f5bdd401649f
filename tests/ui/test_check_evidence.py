"""`proctor check --evidence`: files of other tools stand beside the ready checks."""

import json
import os

from datetime import UTC, datetime, timedelta

import pytest

from shop import Shop

STEP = {
    "assertion_type": "col_vals_not_null",
    "column": "normal",
    "active": True,
    "n": 30,
    "n_failed": 0,
    "warning": False,
    "error": False,
    "critical": False,
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shop = Shop(tmp_path)
    shop.sql("UPDATE items SET normal = 'x'")
    return shop


def write(shop, name, *steps, ago=0):
    at = datetime.now(UTC) - timedelta(hours=ago)
    told = [{**STEP, "time_processed": at.isoformat(), **step} for step in steps]
    (shop.root / name).write_text(json.dumps(told))
    return name


def test_evidence_is_judged_beside_the_checks(shop, proctor):
    """A backfill without ready checks is judged by it alone; the worst of all files counts."""
    good = write(shop, "good.json", {})
    ended = proctor("check", "fill", "--evidence", good, "--json")
    assert (ended.code, ended.json["verdict"]) == (0, "pass")
    (one,) = ended.json["checks"]
    assert (one["kind"], one["field"]) == ("Pointblank", "col_vals_not_null of normal")
    assert one["over"].startswith("good.json, made 20")
    bad = write(shop, "bad.json", {"n_failed": 3, "error": True})
    ended = proctor("check", "fill", "--evidence", good, "--evidence", bad, "--json")
    assert (ended.code, ended.json["verdict"]) == (1, "fail")
    assert "bad.json" in proctor("check", "fill", "--evidence", bad).out


def test_what_cannot_be_read_never_passes(shop, proctor):
    for text in ("", "{", "[]", "null", '{"verdict": "pass"}', "[" * 100_000):
        (shop.root / "odd.json").write_text(text)
        ended = proctor("check", "fill", "--evidence", "odd.json", "--json")
        assert (ended.code, ended.json["verdict"]) == (1, "inconclusive")


def test_a_file_that_is_not_there_is_wrong_use(shop, proctor):
    ended = proctor("check", "fill", "--evidence", "nowhere.json")
    assert ended.code == 2
    assert "nowhere.json" in ended.err


def test_evidence_from_before_the_runs_last_write_passes_nothing(shop, proctor):
    """It is about other rows. What failed before failed all the same."""
    shop.sql("UPDATE items SET normal = NULL")
    assert proctor("run", "fill").code == 0
    old = write(shop, "old.json", {}, {"n_failed": 3, "error": True}, ago=2)
    ended = proctor("check", "fill", "--evidence", old, "--json")
    assert [one["verdict"] for one in ended.json["checks"]] == ["inconclusive", "fail"]
    assert "before the run's last write" in ended.json["checks"][0]["reason"]
    new = write(shop, "new.json", {})
    assert proctor("check", "fill", "--evidence", new, "--json").json["verdict"] == "pass"


def test_a_file_that_does_not_say_when_is_as_old_as_it_is(shop, proctor):
    """By the file's own time."""
    shop.sql("UPDATE items SET normal = NULL")
    assert proctor("run", "fill").code == 0
    name = write(shop, "old.json", {"time_processed": None})
    assert proctor("check", "fill", "--evidence", name, "--json").json["verdict"] == "pass"
    os.utime(shop.root / name, (0, 0))
    assert proctor("check", "fill", "--evidence", name, "--json").json["verdict"] == "inconclusive"
