"""P11: what an operator does is on record: who, when, before and after."""

from datetime import UTC, datetime

import pytest

from proctor.app import Forgetting, Part, RollbackOptions, RunOptions
from proctor.errors import PlanVoid, ProctorError
from proctor.model import RunState
from shop import BACKFILLS, Shop


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


async def test_a_whole_life_is_on_record(shop):
    """P11: each act under the name of who did it, at its moment, also of those that only look."""
    began = datetime.now(UTC)
    file, digest = await shop.planned("pat")
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions(plan=file))).run.id
    async with shop.by("vera") as app:
        await app.verify(run)
    async with shop.by("sam") as app:
        assert [line async for line in app.rollback_script(run)]
    async with shop.by("bob") as app:
        await app.rollback(run, RollbackOptions(part=Part(stop="4")))
    async with shop.by("eve") as app:
        await app.prune(await app.prunable(Forgetting(run=run)))
    told = await shop.told()
    assert [(e.who, e.name) for e in told] == [
        ("pat", "plan.made"),
        ("ada", "run.opened"),
        ("ada", "columns.noted"),
        ("ada", "run.succeeded"),
        ("vera", "run.verified"),
        ("sam", "script.written"),
        ("bob", "rollback.started"),
        ("bob", "rollback.finished"),
        ("eve", "images.pruned"),
    ]
    moments = [e.at for e in told]
    assert moments == sorted(moments)
    assert began <= moments[0] <= moments[-1] <= datetime.now(UTC)
    assert {e.run for e in told[1:]} == {run}
    data = {e.name: e.data for e in told}
    assert data["plan.made"]["digest"] == data["run.opened"]["approved_by_plan"] == digest
    assert data["run.verified"]["verdict"] == "pass"
    assert (data["rollback.started"]["was"], data["rollback.started"]["stop"]) == ("succeeded", [4])
    assert data["rollback.finished"]["restored"] == 4
    assert data["images.pruned"] == {"rows": 26, "keys": 0}


async def test_knobs_are_on_record_before_and_after(shop):
    """P11: what a knob was, and what it became, each time."""
    run = (await shop.paused()).id
    async with shop.by("mira") as app:
        await app.tune(run, {"chunk_rows": "25"})
        await app.tune(run, {"chunk_rows": "50", "pause": "0.5"})
    first, second = await shop.told("run.tuned")
    assert first.who == second.who == "mira"
    assert (first.data["before"]["chunk_rows"], first.data["after"]["chunk_rows"]) == (None, 25)
    assert (second.data["before"]["chunk_rows"], second.data["after"]["chunk_rows"]) == (25, 50)
    assert (second.data["before"]["pause"], second.data["after"]["pause"]) == (None, 0.5)


async def test_a_resumed_run_tells_from_what_state_and_by_whom(shop):
    """P11: the pause with its reason; the resume with the state until then."""
    run = (await shop.paused("ada")).id
    async with shop.by("bob") as app:
        await app.run("fill", RunOptions(resume=run))
    paused, resumed = await shop.told("run.paused", "run.resumed", run=run)
    assert (paused.who, paused.data["why"]) == ("ada", "lunch")
    assert (resumed.who, resumed.data["was"]) == ("bob", "paused")


@pytest.mark.parametrize("begun", [False, True])
async def test_a_change_that_was_accepted_is_on_record(shop, begun):
    """P11: since a plan or since a run's beginning, by name of the part and of the operator."""
    options = RunOptions(accept=("code", "params"))
    if begun:
        await shop.paused()
    else:
        options = RunOptions(accept=("code", "params"), plan=(await shop.planned())[0])
    shop.write(BACKFILLS.replace('"x"', '"y"'))
    async with shop.by("bob") as app:
        assert (await app.run("fill", options)).run.state is RunState.SUCCEEDED
    told = (await shop.told("run.opened", "run.resumed"))[-1]
    assert (told.who, told.data["accepted"]) == ("bob", ["code"])


async def test_a_run_that_is_given_up_tells_by_whom_and_what_it_was(shop):
    """P11: also the one that --restart gives up on the way."""
    first = (await shop.paused()).id
    async with shop.by("bob") as app:
        second = (await app.run("fill", RunOptions(restart=True))).run.id
    third = (await shop.told("run.opened"))[-1].run
    assert second == third != first
    asked, done = await shop.told("run.cancelling", "run.cancelled", run=first)
    assert (asked.who, done.who) == ("bob", "bob")
    assert (asked.data["before"], asked.data["why"]) == ("paused", "restarted from the beginning")


async def test_a_restart_that_is_refused_gives_nothing_up(shop):
    """P9: the plan no longer holds, so the unfinished run is as it was."""
    run = (await shop.paused()).id
    file, _ = await shop.planned()
    shop.add(10)
    async with shop.by("bob") as app:
        with pytest.raises(PlanVoid, match="not as many rows"):
            await app.run("fill", RunOptions(plan=file, restart=True))
        (seen,) = await app.status(run)
    assert seen.run.state is RunState.PAUSED
    assert await shop.told("run.cancelled") == []


async def test_what_was_forgotten_before_an_error_is_on_record(shop):
    """P11: images of one run are gone for good, whatever becomes of the next."""
    async with shop.by("ada") as app:
        first = (await app.run("fill", RunOptions(part=Part(limit=10)))).run.id
        second = (await app.run("fill", RunOptions())).run.id
    async with shop.by("eve") as app:
        plan = await app.prunable(Forgetting(table="items"))
        assert [part.run.id for part in plan] == [second, first]
        shop.sql(f"DELETE FROM proctor_runs WHERE id = '{first}'")
        with pytest.raises(ProctorError):
            await app.prune(plan)
    (told,) = await shop.told("images.pruned")
    assert (told.who, told.run, told.data["rows"]) == ("eve", second, 20)
