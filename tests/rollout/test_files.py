"""Files of a rollout and its look at health: whole, the same after a crash, and what they say."""

import contextlib
import json
import sqlite3

import pytest

from proctor import stages
from proctor.adapters.ledger import rollouts
from proctor.errors import ConfigError, DefinitionError
from proctor.model import RolloutState
from rolling import kinds, passed

FILES = """
rollout("small", stages.apply("lower"), stages.files(
    log="logs/{backfill}.json", execution="logs/run.log", summary="sum.md",
    undo="back_{date}.sql"), stages.halt("go", look=["back_{date}.sql"]))
"""
HEALTH = """
rollout("small", stages.health(
    "lower", since="id=150", report="health.md", plan="mini.json"), stages.halt("what now"))
"""


AGAIN = """
@backfill(table("items", key="id"), fills="low", version="1", missing="low = lower(name)")
def shout(row):
    return {"low": row["name"].upper()}
"""


class Killed(BaseException):
    """The process ends here, as by SIGKILL."""


def written(project):
    """The files of the rollout by name, with what is in them."""
    return {
        str(path.relative_to(project.root)): path.read_bytes()
        for pattern in ("logs/*", "sum.md", "back_*.sql")
        for path in project.root.glob(pattern)
    }


async def test_files_are_written_under_the_names_that_the_team_has_for_them(project):
    """A log for each backfill, the execution, a summary and SQL that takes it all back."""
    project.rolls(FILES)
    held = await project.drive()
    day = f"{held.rollout.created:%Y-%m-%d}"
    found = written(project)
    assert set(found) == {"logs/lower.json", "logs/run.log", "sum.md", f"back_{day}.sql"}
    log = json.loads(found["logs/lower.json"])
    assert log["run"]["id"] == held.journal.standing.runs["lower"]
    assert log["run"]["buckets"]["written"] == 200
    assert b"rollout.began" in found["logs/run.log"].splitlines()[0]
    assert b"worker.started" in found["logs/run.log"]
    assert b"| lower | " in found["sum.md"]
    assert b"200 written" in found["sum.md"]
    assert held.journal.standing.held.look == (f"back_{day}.sql",)
    (files,) = [e for e in held.journal.entries if e.kind == "files.written"]
    assert set(files.data["files"]) == set(found)
    script = project.root / f"back_{day}.sql"
    assert script.stat().st_mode & 0o077 == 0  # it holds values of rows
    with contextlib.closing(sqlite3.connect(project.root / "shop.db")) as shop:
        shop.executescript(script.read_text())
    assert project.sql("SELECT count(low) FROM items") == [(0,)]


async def test_the_same_files_are_written_again_after_a_crash(project, monkeypatch):
    """Killed between the files and the word that they are written; nothing half is left."""
    project.rolls(FILES)
    add = rollouts.SqlRolloutLog.add

    async def dying(self, rollout, added, /, **words):
        if any(one.kind == "files.written" for one in added):
            raise Killed
        return await add(self, rollout, added, **words)

    with monkeypatch.context() as patch:
        patch.setattr(rollouts.SqlRolloutLog, "add", dying)
        with pytest.raises(Killed):
            await project.drive()
    before = written(project)
    assert len(before) == 4
    (project.root / "sum.md").write_text("half of")
    (project.root / ".sum.md.new").write_text("as a kill leaves it")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert kinds(held.journal.entries).count("files.written") == 1
    assert written(project) == before
    assert not list(project.root.glob("**/.*.new"))


async def test_one_script_takes_back_two_runs_over_the_same_rows(project):
    """The newest first: only so the older one finds its rows as it left them."""
    with (project.root / "backfills.py").open("a") as file:
        file.write(AGAIN)
    project.rolls(
        'rollout("small", stages.apply("lower"), stages.apply("shout"), '
        'stages.files(undo="back.sql"), stages.halt("go"))'
    )
    await project.drive()
    assert project.sql("SELECT low FROM items WHERE id = 7") == [("NAME 7",)]
    with contextlib.closing(sqlite3.connect(project.root / "shop.db")) as shop:
        shop.executescript((project.root / "back.sql").read_text())
    assert project.sql("SELECT count(low) FROM items") == [(0,)]


async def test_statistics_that_are_gone_are_made_again(project):
    """By the command that a person would type."""
    project.rolls(FILES)

    def lose(rig):
        for path in rig.folder.parent.glob("*/statistics.json"):
            path.unlink()

    held = await project.drive(on=lose)
    log = json.loads((project.root / "logs" / "lower.json").read_text())
    assert log["run"]["id"] == held.journal.standing.runs["lower"]


async def test_files_of_nothing_are_held_for_a_person(project):
    """Before anything was applied there is nothing to write, and no empty file says otherwise."""
    project.rolls('rollout("small", stages.files(summary="sum.md"))')
    held = await project.drive()
    assert "nothing was applied" in held.left.why
    assert not (project.root / "sum.md").exists()


async def test_health_finds_what_lacks_its_fill_and_plans_exactly_that(project):
    """The stage is passed with their number, and has written nothing to the database."""
    project.rolls(HEALTH)
    (project.root / "mini.json").write_text("of an earlier look")
    held = await project.drive()
    assert passed(held.journal.entries) == ["health lower"]
    (seen,) = [e for e in held.journal.entries if e.kind == "health.examined"]
    assert (seen.data["verdict"], seen.data["lacking"], seen.data["keys"]) == ("fail", 51, 51)
    plan = json.loads((project.root / "mini.json").read_text())
    assert [key[0] for key in plan["span"]["keys"]] == list(range(150, 201))
    assert "mini.json" in (project.root / "health.md").read_text()
    assert project.sql("SELECT count(low) FROM items") == [(0,)]


async def test_where_nothing_lacks_its_fill_no_plan_is_left_to_run(project):
    """One of an earlier look would be taken for today's."""
    project.rolls(HEALTH)
    project.sql("UPDATE items SET low = lower(name)")
    (project.root / "mini.json").write_text("of an earlier look")
    held = await project.drive()
    (seen,) = [e for e in held.journal.entries if e.kind == "health.examined"]
    assert seen.data["verdict"] == "pass"
    assert not (project.root / "mini.json").exists()


async def test_health_that_cannot_be_examined_is_held_and_never_green(project):
    """A column that is not there."""
    project.rolls('rollout("small", stages.health("lower", since="born=2026-01-01"))')
    held = await project.drive()
    assert held.journal.standing.held.verdict == "inconclusive"
    assert "born" in held.left.why
    assert passed(held.journal.entries) == []


async def test_an_approval_is_of_what_health_found(project):
    """The same rows approved twice are not the same where the look before found others."""
    project.rolls(HEALTH)
    first = await project.drive()
    await project.reject(first.rollout.id)
    await project.drive()
    project.sql("UPDATE items SET low = 'x' WHERE id = 200")
    second = await project.drive(again=True)
    assert first.journal.standing.held.digest != second.journal.standing.held.digest


async def test_a_rollout_that_is_held_sees_that_the_data_changed_before_anybody_approved(project):
    """What the refusal says to type helps: driven again it is held for the data as they are."""
    project.rolls('rollout("small", stages.apply("lower"), stages.halt("go"))')
    held = await project.drive()
    project.sql("UPDATE items SET low = 'other' WHERE id = 7")
    again = await project.drive()
    (run,) = again.journal.standing.runs.values()
    assert again.left.why.endswith(
        f"has changed since: rows written by run {run}; so it has to be looked at again"
    )
    assert again.journal.standing.held.look == (f"proctor verify {run}",)
    assert "approval.voided" not in kinds(again.journal.entries)  # nobody had said anything
    assert again.journal.standing.held.digest != held.journal.standing.held.digest
    await project.approve(held.rollout.id, "bo")
    assert (await project.drive()).left.state is RolloutState.ACTIVE


async def test_a_backfill_that_there_is_none_of_is_said_before_anything_begins(project):
    """Also where only its health is looked at."""
    project.rolls('rollout("small", stages.health("upper"))')
    with pytest.raises(ConfigError, match="none of"):
        await project.drive()


@pytest.mark.parametrize(
    "wrong",
    [
        stages.files,
        lambda: stages.files(summary="/etc/sum.md"),
        lambda: stages.files(summary="../sum.md"),
        lambda: stages.files(summary="{day}.md"),
        lambda: stages.files(summary="{.md"),
        lambda: stages.files(log="log.json"),
        lambda: stages.files(summary="a.md", execution="a.md"),
        lambda: stages.health("lower", since="yesterday"),
        lambda: stages.health("lower", plan="/tmp/mini.json"),
    ],
)
def test_what_is_wrong_in_a_stage_is_said_where_it_is_defined(wrong):
    """With the right code."""
    with pytest.raises(DefinitionError) as refused:
        wrong()
    assert refused.value.fix
