"""The commands of rollouts and their reports, as a person and a script meet them."""

import json
import re
import subprocess
import sys

from pathlib import Path

import pytest

from rolling import make, tool

HOSTILE = "<script>alert('x')</script> | `tick` [a](http://b)"
ROLL = """
rollout("small", stages.apply("lower"),
    stages.soak("half an hour", duration=minutes(30), metrics=[filled(interval=minutes(10))]),
    stages.halt("go or no-go", look=["the report"]))
rollout("other", stages.halt("never begun"))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """This process stands in a project with rollouts."""
    made = make(tmp_path)
    made.rolls(ROLL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROCTOR_USER", "mira")
    return made


def held(proctor):
    """A rollout that is held; its document."""
    ended = proctor("rollout", "small", "--speed", "3600", "--json")
    assert ended.code == 3
    return ended.json


def test_a_held_rollout_says_what_to_look_at_and_what_to_type(project, proctor):
    """Exit code 3, one document on stdout, progress on stderr."""
    ended = proctor("rollout", "small", "--speed", "3600", "--json")
    told = ended.json
    assert (ended.code, told["state"], told["verdict"]) == (3, "held", "halt")
    assert told["look"] == ["the report"]
    assert told["type"][0].startswith("proctor approve r")
    assert re.fullmatch("[0-9a-f]{64}", told["digest"])
    assert "stage.passed" in ended.err
    shown = proctor("rollout", "small").out
    assert "look at  the report" in shown
    assert f"proctor approve {told['rollout']}" in shown


def test_a_word_is_refused_or_taken_by_command(project, proctor, monkeypatch):
    """Not by the one who started it; another one's opens the way; exit codes say which."""
    ident = held(proctor)["rollout"]
    own = proctor("approve", ident, "--reason", "fine")
    assert (own.code, "who started" in own.err) == (3, True)
    assert proctor("approve", ident).code == 2  # no reason
    monkeypatch.setenv("PROCTOR_USER", "bo")
    assert (
        proctor("approve", ident, "--reason", "read the report", "--json").json["rollout"] == ident
    )
    done = proctor("rollout", "small", "--json")
    assert (done.code, done.json["state"]) == (0, "active")
    once_more = proctor("rollout", "small", "--speed", "3600")
    assert (once_more.code, "small is through" in once_more.err) == (3, True)
    assert f"found: {ident} is active" in " ".join(once_more.err.split())
    assert proctor("rollout").out.count(ident) == 1  # no other one has begun


def test_a_rejected_rollout_ends_with_1(project, proctor):
    """It stepped back; what it wrote is kept or taken back as its author said."""
    ident = held(proctor)["rollout"]
    assert proctor("reject", ident, "--reason", "no").code == 0
    late = proctor("approve", ident, "--reason", "fine")
    assert (late.code, "rejected by mira: no (2" in late.err) == (3, True)
    assert "not taken back" in proctor("rollout", "small", "--retry", "again").err
    listed = " ".join(proctor("rollout").out.split())
    assert f"{ident} is rejected: by mira: no; nothing is taken back yet" in listed
    shown = proctor("rollout", "small", "--show").out
    assert "rejected: by mira: no; nothing is taken back yet" in shown
    assert "type  proctor rollout small\n" in shown
    assert "approve" not in shown
    done = proctor("rollout", "small", "--json")
    assert (done.code, done.json["state"]) == (1, "rolled_back")


def test_without_a_name_those_that_are_defined_are_shown(project, proctor):
    """With where the latest of each stands."""
    ident = held(proctor)["rollout"]
    shown = proctor("rollout").out
    assert re.search(rf"small\s+3\s+{ident} is held", shown)
    assert re.search(r"other\s+1\s+never begun", shown)
    both = {one["name"]: one for one in proctor("rollout", "--json").json["rollouts"]}
    assert (both["small"]["state"], both["other"]["state"]) == ("held", "")


def test_show_says_what_it_would_do_and_does_nothing(project, proctor):
    """The stages in order; no rollout begins by that."""
    told = proctor("rollout", "small", "--show", "--json").json
    assert [one["name"] for one in told["stages"]] == ["apply lower", "half an hour", "go or no-go"]
    assert proctor("rollout", "--json").json["rollouts"][1]["latest"] == ""
    assert project.sql("SELECT count(low) FROM items") == [(0,)]


def test_reports_tell_the_same_in_every_form(project, proctor):
    """Stages, run, metrics and what would be approved; the clock that was sped up is said."""
    told = held(proctor)
    texts = {form: Path(path).read_text(encoding="utf-8") for form, path in told["reports"].items()}
    for form in ("md", "html"):
        for word in ("apply lower", "half an hour", "filled", "3600", "go or no-go"):
            assert word in texts[form], (form, word)
    document = json.loads(texts["json"])
    assert document["rollout"] == told["rollout"]
    assert [one["name"] for one in document["stages"]][-1] == "go or no-go"
    assert {e["kind"] for e in document["log"]} >= {"stage.passed", "run.found", "rollout.held"}
    assert "default-src 'none'" in texts["html"]
    assert "<svg" in texts["html"]


def test_a_run_that_was_rolled_back_by_hand_stays_in_the_report(project, proctor):
    """A reader sees which run was applied, and that it was undone."""
    told = held(proctor)
    run = told["runs"]["lower"]
    assert proctor("rollback", run, "--yes").code == 0
    again = proctor("rollout", "small", "--json").json["reports"]
    said = "rolled back by hand: 200 rows restored, 0 left alone"
    for form in ("md", "html"):
        text = Path(again[form]).read_text(encoding="utf-8")
        assert run in text
        assert said in text
    (one,) = json.loads(Path(again["json"]).read_text(encoding="utf-8"))["runs"]
    assert (one["id"], one["state"], one["taken_back"]) == (run, "rolled_back", said)


def test_a_run_whose_rows_a_step_back_took_stays_in_the_report(project, proctor, monkeypatch):
    """The rollout itself works on no run any more: its report shows what it was."""
    project.rolls(ROLL.replace('["the report"]))', '["the report"]), on_fail="rows")', 1))
    told = held(proctor)
    run = told["runs"]["lower"]
    monkeypatch.setenv("PROCTOR_USER", "bo")
    assert proctor("reject", told["rollout"], "--reason", "no").code == 0
    ended = proctor("rollout", "small", "--json").json
    assert ended["runs"] == {}
    (row,) = [
        line
        for line in Path(ended["reports"]["md"]).read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{run}`")
    ]
    assert "rolled_back" in row
    assert "written 200" in row
    assert re.search("rolled back by the step back of .*: 200 rows restored, 0 left alone", row)


def test_hostile_texts_become_no_markup(project, proctor, monkeypatch):
    """What people and rows say is shown, and never runs."""
    project.rolls(f'rollout("small", stages.halt({HOSTILE!r}, look=[{HOSTILE!r}]))')
    told = held(proctor)
    waiting = Path(told["reports"]["md"]).read_text(encoding="utf-8")
    assert "<script>" not in waiting
    assert "[a](http" not in waiting
    monkeypatch.setenv("PROCTOR_USER", "bo")
    assert proctor("reject", told["rollout"], "--reason", HOSTILE).code == 0
    ended = proctor("rollout", "small", "--json").json
    page = Path(ended["reports"]["html"]).read_text(encoding="utf-8")
    text = Path(ended["reports"]["md"]).read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<script>" not in text


def test_show_tells_each_stage_and_why_it_is_held(project, proctor):
    """Metrics with their rules, halts with what to look at; and what to type."""
    held(proctor)
    shown = proctor("rollout", "small", "--show").out
    assert "metric filled every 10 min: succeeds where result.value >= 200" in shown
    assert "duration 30 min" in shown
    assert "look at the report" in shown
    assert "held: halt for go or no-go" in shown
    assert "proctor approve r" in shown


def test_show_asks_each_metric_once(project, proctor):
    """A wrong table is found before a soak is spent on it."""
    project.rolls("""
rollout("small", stages.precheck(probes.sql("item", "SELECT count(*) FROM items")),
    stages.soak("s", duration=minutes(30), metrics=[filled(), metrics.probe(
    "item", "item", success_condition="result.ok == 1"), metrics.sql(
    "typo", "SELECT count(*) AS value FROM itemz", success_condition="result.value > 0")]))
""")
    shown = proctor("rollout", "small", "--show").out
    assert "filled gives now: value 0" in shown
    assert "item gives now: ok 1" in shown
    assert re.search(r"typo can never be measured: .*itemz", shown)


def test_what_cannot_be_measured_yet_is_warned_of_as_it_begins(project, proctor):
    """On stderr, and the rollout goes its way."""
    project.rolls("""
rollout("small", stages.halt("go"), stages.gate("g", metrics=[metrics.python(
    "late", lambda: 1 / 0, success_condition="result.value == 1")]))
""")
    ended = proctor("rollout", "small")
    assert ended.code == 3
    assert "metric.doubted      why metric late of g cannot be measured now: " in ended.err


def test_a_clock_keeps_the_speed_that_it_was_begun_with(project, proctor):
    """A speed that would not hold is refused, not ignored."""
    held(proctor)
    again = proctor("rollout", "small", "--speed", "20")
    assert (again.code, "keeps the speed" in again.err) == (2, True)


def test_doctor_reads_the_rollouts(project, proctor):
    """A file that every rollout would refuse is found before a night begins."""
    assert "other, small" in proctor("doctor").out
    project.rolls('rollout("small", stages.apply("nobody"))')
    wrong = proctor("doctor")
    assert wrong.code == 1
    assert "nobody" in wrong.out


STUCK = """test ! -e tries || {
  n=$(cat tries); echo $((n + 1)) > tries; cp .proctor/reports/*/rollout.md seen$n.md
  [ $n -ge 2 ] || { echo immutable >&2; exit 3; }
}
echo $PERCENT > state"""


def test_a_step_back_that_is_stuck_is_told_wherever_one_looks(project, proctor, monkeypatch):
    """Not that it ramps or is held: the report is written anew, `--show` and the list say it."""
    tool(project, read="cat state", write=STUCK)
    (project.root / "state").write_text("0")
    project.rolls('rollout("small", stages.activate("TOOL", steps=(10, 100), confirm=True,'
                  ' hold=minutes(0)))')  # fmt: skip
    ident = proctor("rollout", "small", "--speed", "3600", "--json").json["rollout"]
    assert "readers are still let in" not in proctor("rollout").out
    monkeypatch.setenv("PROCTOR_USER", "bo")
    proctor("reject", ident, "--reason", "too soon")
    for said in (proctor("rollout").out, proctor("rollout", "small", "--show").out):
        assert "rejected: by bo: too soon; nothing is taken back yet" in " ".join(said.split())
    (project.root / "tries").write_text("0")
    assert proctor("rollout", "small").code == 1
    first, then = ((project.root / f"seen{n}.md").read_text() for n in (0, 1))
    assert "**stepping back**: rejected by bo: too soon" in first
    assert "flag TOOL was last set to 10%" in first
    assert "flag TOOL stands at 10%, as last known, and could not be put back (try 1)" in then
    assert "**rolled back**" in report_of(project, ident)


def report_of(project, ident):
    """What is kept for people."""
    return (project.root / ".proctor" / "reports" / ident / "rollout.md").read_text()


def test_who_leaves_it_is_told_which_flag_is_open(project):
    """Ctrl-C closes nothing; a step back that is under way is no ramp."""
    project.rolls("""
import os, signal
def leave(seen):
    os.kill(os.getpid(), signal.SIGINT)
rollout("small", stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.step("leave", leave), stages.halt("go"))
""")
    told = subprocess.run(
        [sys.executable, "-m", "proctor", "rollout", "small", "--speed", "3600"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 130
    said = " ".join(told.stdout.split())
    assert "mind readers are still let in: flag NEW was last set to 100%" in said
    assert "go on proctor rollout small" in said
    assert project.flag == 100


def test_a_module_of_rollouts_that_is_not_there_is_told_by_its_key(project, proctor):
    (project.root / "rolls.py").unlink()
    ended = proctor("rollout", "small")
    assert ended.code == 2
    assert 'rollouts = ["rolls"] means rolls.py' in " ".join(ended.err.split())
