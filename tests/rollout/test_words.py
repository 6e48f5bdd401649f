"""What people are told of what changed, and which words of theirs are refused."""

from datetime import UTC, datetime

import pytest

from proctor.core.rolling import fold, refuse_retry
from proctor.engine.kit import Stop
from proctor.engine.rolling.altered import in_words
from proctor.engine.rolling.evidence import Seen, change
from proctor.errors import NotApproved
from proctor.model import Halt, LogEntry, RolloutState
from rolling import kinds


async def test_a_fail_is_not_measured_again_by_weaker_rules(project):
    """Whoever began it cannot launder a fail by another file and a retry."""
    source = """
rollout("small", stages.soak("day", duration=minutes(30), metrics=[filled(
    success_condition="result.value >= {least}")]))
"""
    project.rolls(source.replace("{least}", "200"))
    held = await project.drive()
    assert held.journal.standing.held.verdict == "fail"
    project.rolls(source.replace("{least}", "0"))
    for accepted in (False, True):
        with pytest.raises(NotApproved, match="other rules") as told:
            await project.drive(accept=accepted, retry="it is fine", who="bo")
        assert "put the file back" in told.value.fix
    assert "rollout.changed" not in kinds(await project.entries(held.rollout.id))
    again = await project.drive(accept=True)  # in two commands it is the same
    assert again.journal.standing.held.verdict == "fail"
    assert not [one for one in again.journal.standing.held.words if "--retry" in one]
    for _ in range(2):
        with pytest.raises(NotApproved, match=r"other rules.*since: metric filled of soak day"):
            await project.drive(retry="it is fine", who="bo")
    (changed,) = [e for e in again.journal.entries if e.kind == "rollout.changed"]
    assert changed.data["why"] == (
        "metric filled of soak day: success_condition result.value >= 200 -> result.value >= 0"
    )
    await project.approve(held.rollout.id, "bo", forced=True)
    assert (await project.drive()).left.state is RolloutState.ACTIVE


async def test_rules_do_not_change_under_a_fail_that_is_being_tried_again(project):
    """Somebody else retries it as it is; who stops that does not go on by weaker rules."""
    source = """
rollout("small", stages.soak("day", duration=minutes(30), metrics=[filled(
    success_condition="result.value >= {least}")]), stages.halt("go"))
"""
    project.rolls(source.replace("{least}", "200"))
    held = await project.drive()
    stop = Stop()

    def leave(rig):
        if kinds(rig.journal.entries).count("stage.entered") == 2:
            stop.ask("enough")

    left = await project.drive(retry="again", who="bo", stop=stop, on=leave)
    assert left.left.interrupted
    project.rolls(source.replace("{least}", "0"))
    with pytest.raises(NotApproved, match="other rules"):
        await project.drive(accept=True)
    assert "rollout.changed" not in kinds(await project.entries(held.rollout.id))
    project.rolls(source.replace("{least}", "200"))
    project.sql("UPDATE items SET low = lower(name)")
    assert "halt" in (await project.drive()).left.why  # it is passed: what follows may change
    project.rolls(source.replace("{least}", "200").replace('"go"', '"go", approvals=2'))
    assert (await project.drive(accept=True)).left.state is RolloutState.HELD


async def test_held_anew_it_begins_where_it_was_to_begin(project):
    """Rows that were taken back are written first, also where the file was changed meanwhile."""
    source = """
rollout("small", stages.apply("lower"), stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.soak("day", duration=minutes(30), metrics=[metrics.sql(
        "bad", "SELECT count(*) AS value FROM items WHERE name = 'harm'",
        failure_condition="result.value > 0", interval=minutes(5), critical=True)]),
    on_fail="rows", within=minutes({}))
"""
    project.rolls(source.format(9000))
    project.sql("UPDATE items SET name = 'harm' WHERE id = 3")
    held = await project.drive()
    project.rolls(source.format(9001))
    again = await project.drive(accept=True)
    stages = [one.journal.standing.held.stage for one in (held, again)]
    assert stages == [0, 0]


def test_rules_that_change_while_it_steps_back_are_other_rules():
    """A crash between the fail and its hold opens no way round."""
    standing = fold(
        LogEntry(kind=kind, at=datetime(2026, 3, 1, tzinfo=UTC), who="ann", data=data, number=n)
        for n, (kind, data) in enumerate(
            [
                ("rollout.began", {"digest": "a"}),
                ("step_back.begun", {}),
                ("rollout.changed", {"digest": "b", "changed": ["stages="]}),
                ("step_back.ended", {}),
                ("rollout.held", {"stage": 0, "why": "w", "verdict": "fail", "digest": "d"}),
            ],
            1,
        )
    )
    with pytest.raises(NotApproved, match="other rules"):
        refuse_retry(standing, Halt(name="go"), who="bo")


def differs(was, now):
    """What is told of two sets of parts."""
    return change(was, Seen(digest="d", parts=now))


def test_what_its_own_worker_did_is_no_change_of_what_was_held():
    """The run came to its end; nobody else has touched anything."""
    held = {"the rollout's file": "1", "the state of run a": "under way"}
    ended = held | {
        "the state of run a": "succeeded",
        "rows written by run a": "2",
        "the audit of lower at 50%": "3",
    }
    found = differs(held, ended)
    assert found.went_on
    assert found.told == (
        "run a was under way and is now succeeded, the audit of lower at 50%, which is new"
    )
    for theirs in (
        {"the state of run a": "rolled_back"},
        {"the rollout's file": "2"},
        {"rows written by run b": "2", "the state of run b": "succeeded"},
    ):
        before = held | {"rows written by run b": "1", "the state of run b": "succeeded"}
        assert not differs(before, ended | before | ended | theirs).went_on
    again = differs(ended, ended | {"rows written by run a": "4"})
    assert (again.went_on, again.told) == (False, "rows written by run a")
    assert again.look == ("proctor verify a",)
    assert not differs({}, ended).told  # it was held before parts were kept


async def test_what_is_left_held_is_what_its_own_worker_left(project):
    """Nobody has to drive it once more before it can be approved."""
    toml = project.root / "proctor.toml"
    toml.write_text(f"{toml.read_text()}\n[run]\nchunk_rows = 50\npause_s = 0.3\n")
    project.rolls("""
rollout("small", stages.apply("lower", until="result.share >= 0.02"), stages.halt("go"))
""")
    held = await project.drive(speed=60.0)
    assert "looked at again" not in held.left.why
    await project.approve(held.rollout.id, "bo")
    assert (await project.drive(speed=60.0)).left.state is RolloutState.ACTIVE


def test_what_changed_in_the_stages_is_said_by_name():
    """A bar that was lowered stands there with both numbers."""

    def stages_as(allowed, *more):
        metric = {"name": "conversion", "baseline": {"mode": "fixed", "allowed": allowed}}
        soak = {"what": "soak", "name": "six hours", "duration": 60.0, "metrics": [metric]}
        return [{"what": "apply", "name": "apply texts"}, soak, *more]

    halt = {"what": "halt", "name": "go"}
    assert in_words(stages_as(0.85, halt), stages_as(0.3)) == [
        "metric conversion of soak six hours: allowed 0.85 -> 0.3",
        "stage halt go was taken out",
    ]
    assert in_words(stages_as(0.3), stages_as(0.3)) == []
    long = "SELECT count(*) FROM t WHERE " + "a = 1 AND " * 20
    (said,) = in_words(
        [{"what": "gate", "name": "g", "query": f"{long}b = 1"}],
        [{"what": "gate", "name": "g", "query": f"{long}b = 2"}],
    )
    assert said.endswith("b = 2")
    assert len(said) < 120
