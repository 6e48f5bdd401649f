"""`proctor demo sessions`: an application writes its own tables, in a rollout of three phases."""

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


def report_of(folder, rollout):
    return json.loads((folder / ".proctor" / "reports" / rollout / "rollout.json").read_text())


def test_it_is_killed_resumed_and_taken_back_row_for_row(played):
    """P2, P3: all 39 sessions end scored, and what the application wrote goes back."""
    document, said, _ = played
    assert (document["scored"], document["identical"]) == (39, True)
    assert "$ kill -9 " in said
    assert said.count(" --touched --yes") == 5


def test_the_worker_that_was_killed_was_started_again_by_the_rollout(played):
    """Exactly one at a time, with the same words; its run went on."""
    document, _, folder = played
    log = report_of(folder, document["rollout"])["log"]
    late = [e for e in log if e["data"].get("backfill") == "score_late"]
    kinds = [e["kind"] for e in late if e["kind"].startswith(("worker.", "run."))]
    assert kinds == ["worker.started", "run.found", "worker.ended", "worker.started"]
    (ended,) = [e for e in late if e["kind"] == "worker.ended"]
    assert ended["data"]["code"] == -9
    assert [e["data"]["again"] for e in late if e["kind"] == "worker.started"] == [False, True]


def test_the_applications_own_books_say_that_nothing_was_done_twice(played):
    """P5: calls made again are those in flight at the kill, and it knows them."""
    document, _, _ = played
    assert (document["worked_twice"], document["answered_429"]) == (0, 0)
    assert document["calls"] >= 2 * 43 + 1


def test_each_group_has_a_log_with_its_sessions_and_what_failed(played):
    """The session that cannot be scored stands in its group's log, with the error."""
    document, _, folder = played
    logs = {name: json.loads((folder / name).read_text()) for name in document["logs"]}
    units = [unit for log in logs.values() for unit in log["units"]["listed"]]
    assert len(units) == 39
    (wrong,) = [unit for unit in units if unit["state"] != "completed"]
    assert "session s-011 has no responses" in wrong["reason"]
    assert wrong in logs["logs/score_early.json"]["units"]["listed"]
    touched = {t["table"] for log in logs.values() for t in log["touched"]["rows"]}
    assert touched == {"fc_scores", "profiles"}


def test_every_artefact_of_the_three_phases_is_there(played):
    """As the team names them, and each says what it is there for."""
    document, _, folder = played
    assert "worker.ended" in (folder / "logs" / "execution.log").read_text()
    summary = (folder / "backfill_summary.md").read_text()
    assert all(f"| score_{group} |" in summary for group in ("pilot", "early", "late"))
    assert "1 failed" in summary
    (script,) = folder.glob("rollback_*.sql")
    assert "AS still_written" in script.read_text()
    assert all(run in script.read_text() for run in document["runs"][:3])
    assert "prod_health_check" in {path.stem for path in folder.glob("*.md")}
    plan = json.loads((folder / "mini_plan.json").read_text())
    assert plan["span"]["keys"] == [["s-101"], ["s-102"], ["s-103"], ["s-104"]]


def test_it_halts_three_times_and_nobody_passes_a_halt_alone(played):
    """Who began it cannot approve, and what was approved is what goes on."""
    document, said, folder = played
    story = report_of(folder, document["rollout"])
    assert story["state"] == "active"
    assert [s["passed"] is not None for s in story["stages"]] == [True] * 10
    held = [e["data"]["why"] for e in story["log"] if e["kind"] == "rollout.held"]
    assert [why.split(";")[0] for why in held] == [
        "halt for review",
        "halt for go or no-go",
        "halt for go or no-go",  # the data had changed: approved again
        "halt for recommendations",
    ]
    assert [e["who"] for e in story["log"] if e["kind"] == "approval.given"] == ["bo"] * 4
    assert [e["kind"] for e in story["log"]].count("approval.voided") == 1
    assert "who started a rollout does not approve it" in said


def test_the_soak_passes_against_the_same_hours_of_eight_weeks(played):
    """By the final test, in numbers; read-only, and the report says that its clock was fast."""
    document, _, folder = played
    story = report_of(folder, document["rollout"])
    (judged,) = [e["data"] for e in story["log"] if e["kind"] == "stage.judged"]
    assert judged["verdict"] == "pass"
    assert "in 8 earlier windows: between" in judged["why"]
    assert story["speed"] == 3600.0
    metrics = {m["name"] for m in story["metrics"]}
    assert metrics == {"conversion", "version overrides", "tokenised access", "fc_kind"}


def test_a_conversion_that_fell_fails_and_too_little_traffic_is_inconclusive(played):
    """P8; and a soak that could not prove anything was refused before it began."""
    document, said, folder = played
    assert "proved to be below 85 % of the baseline (evidence " in document["soaks"]["fell"]
    assert "no data: total is" in document["soaks"]["quiet"]
    assert "an approval does not override a fail" in said
    assert "would soak for nothing" in said
    page = (folder / "staging_observability.md").read_text()
    assert "**inconclusive**: conversion: no data" in page
    assert "this was a trial, not a soak" in page
