"""Soaks that could prove nothing do not begin; a rehearsal says how often they would be wrong."""

import json
import re

from datetime import UTC, datetime, timedelta

import pytest

from proctor import app as apps
from proctor.app.rollouts import foreseen, plan_of, rehearse
from proctor.config import load
from proctor.errors import TooLittleData
from proctor.model import RolloutState
from rolling import kinds

COUNTED = """
def counted(name="sold", least=1, **words):
    return metrics.sql(
        name, "SELECT count(sold) AS events, count(*) AS total FROM visits "
        "WHERE at >= :since AND at < :until",
        interval=minutes(30), min_samples=least, **words)

def weeks(allowed=0.85, confidence=0.95):
    return metrics.matched_windows(allowed=allowed, confidence=confidence)

def watched(metric, *, most=None, name="small"):
    return rollout(name, stages.soak(
        "an hour", duration=minutes(60), most=most, metrics=[metric], report="soak.md"))
"""


@pytest.fixture
def shop(project):
    """Visits of nine weeks and the hours to come, each as often as is asked for."""

    def seed(hourly, sold=lambda week, number: number % 2):
        now = datetime.now(UTC).replace(microsecond=0)
        rows = []
        for week in range(-1, 10):
            for number in range(6 * hourly):
                at = now - timedelta(weeks=week) + timedelta(hours=number / hourly - 1.9)
                rows.append((at.strftime("%Y-%m-%d %H:%M:%S"), 1 if sold(week, number) else None))
        project.sql("CREATE TABLE IF NOT EXISTS visits (at TEXT, sold INTEGER)")
        project.sql("DELETE FROM visits")
        text = json.dumps(rows)
        project.sql("INSERT INTO visits SELECT value ->> 0, value ->> 1 FROM json_each(?)", text)
        return project

    return seed


async def asked(project, what, name="small"):
    async with apps.open(load(project.root / "proctor.toml"), "local", who="ann") as app:
        return await what(app, plan_of(app, name) if what is foreseen else name)


async def test_a_soak_that_can_prove_it_begins_and_says_how_much_it_needs(shop):
    """What `--show` prints; and it passes."""
    project = shop(600)
    project.rolls(COUNTED + "watched(counted(baseline=weeks()))")
    (found,) = await asked(project, foreseen)
    assert (found.stage, found.metric, found.enough) == ("an hour", "sold", True)
    assert 30 < found.needed <= 600
    assert "8 earlier windows of 1 h" in found.told
    done = await project.drive(speed=7200.0)
    assert done.left.state is RolloutState.ACTIVE
    assert "**pass**" in (project.root / "soak.md").read_text()


@pytest.mark.parametrize(
    ("hourly", "wild", "words"),
    [
        (20, False, "0 of 8 earlier windows of 1 h have 100 or more to count"),
        (600, True, "differ so much that another can only prove"),
    ],
)
async def test_a_soak_that_cannot_prove_it_is_refused_before_anything_begins(
    shop, hourly, wild, words
):
    """P8: it would be inconclusive after hours; the sentence says what to do instead."""
    project = shop(hourly, lambda week, number: number % (2 + (week % 4 if wild else 0)) == 0)
    project.rolls(COUNTED + "watched(counted(least=100, baseline=weeks()))")
    with pytest.raises(TooLittleData, match=words) as refused:
        await project.drive()
    assert refused.value.exit_code == 3
    assert "dry_run=True" in refused.value.fix
    async with apps.open(load(project.root / "proctor.toml"), "local", who="ann") as app:
        from proctor.app.rollouts import opened_log

        async with opened_log(app) as log:
            assert await log.rollouts("local") == []


async def test_a_fixed_bar_needs_so_many_and_a_soak_of_fewer_is_refused(shop):
    """By the last hour's count; more traffic is let through."""
    source = COUNTED + "watched(counted(baseline=metrics.fixed(rate=0.5, allowed=0.85)))"
    project = shop(60)
    project.rolls(source)
    with pytest.raises(TooLittleData, match=r"60 in 1 h .* which takes \d+: soak \d+ h"):
        await project.drive()
    shop(900)
    (found,) = await asked(project, foreseen)
    assert found.enough
    assert f"{found.needed:,} are needed" in found.told


BESIDE = """
def beside(least=1, **words):
    return metrics.sql("sold", "SELECT count(CASE WHEN new THEN sold END) AS events, "
        "count(CASE WHEN new THEN 1 END) AS total, "
        "count(CASE WHEN NOT new THEN sold END) AS control_events, "
        "count(CASE WHEN NOT new THEN 1 END) AS control_total "
        "FROM (SELECT *, 0 AS new FROM visits) WHERE at >= :since AND at < :until",
        interval=minutes(30), min_samples=least,
        baseline=metrics.concurrent(allowed=0.85), **words)

def ramp(*metrics, steps=(5, 50, 100), **words):
    return stages.activate("NEW", steps=steps, hold=minutes(60), metrics=metrics, **words)
"""


async def test_each_hold_of_a_ramp_is_asked_what_it_can_prove_beside_the_others(shop):
    """At 5 % few see it and 19 times as many do not; at 100 % nobody is left to compare with."""
    project = shop(4000)
    project.rolls(COUNTED + BESIDE + 'rollout("small", ramp(beside()))')
    small, half, all_in = await asked(project, foreseen)
    assert (small.stage, small.enough) == ("activate NEW at 5%", False)
    assert re.match(r"5% of the [34],\d{3} counted in as long until now: ", small.told)
    assert re.search(r"which takes \d+: hold \d+ h, or lower the bar", small.told)
    assert (half.stage, half.enough) == ("activate NEW at 50%", True)
    assert small.needed < half.needed  # the others are many, so that fewer are needed
    assert (all_in.enough, all_in.told) == (None, "all are let in: nobody is left to compare with")
    with pytest.raises(TooLittleData, match="sold of activate NEW at 5%"):
        await project.drive()
    project.rolls(COUNTED + BESIDE + 'rollout("small", ramp(beside(), steps=(50, 100)))')
    assert [one.enough for one in await asked(project, foreseen)] == [True, None]
    project.rolls(COUNTED + BESIDE + 'rollout("small", ramp(beside(least=3000), steps=(50,)))')
    (many,) = await asked(project, foreseen)
    assert (many.enough, many.needed) == (False, 3000)
    assert many.told.endswith("min_samples asks for 3,000")


async def test_a_soak_behind_a_ramp_is_compared_with_those_who_are_not_let_in(shop):
    """By the last step of the flag; without a flag only what is needed can be said."""
    project = shop(4000)
    project.rolls(
        COUNTED
        + BESIDE
        + """
def after(*steps):
    return rollout(f"after {steps}", *(ramp(steps=(step,), name=f"to {step}") for step in steps),
        stages.soak("an hour", duration=minutes(60), metrics=[beside()]))

after(5), after(50), after(100), after(), after(5, 50)
"""
    )
    found = {
        steps: (await asked(project, foreseen, f"after {steps}"))[0]
        for steps in ((5,), (50,), (100,), (), (5, 50))
    }
    assert [one.stage for one in found.values()] == ["an hour"] * 5
    assert [one.enough for one in found.values()] == [False, True, None, None, None]
    assert "soak " in found[5,].told
    assert "nobody is left to compare with" in found[100,].told
    for unknown in ((), (5, 50)):
        assert found[unknown].needed == found[50,].needed
        assert "and as many without it, at a rate of 0.5" in found[unknown].told


async def test_the_holds_of_a_ramp_are_compared_as_a_soak_is(shop):
    """With earlier windows or a fixed bar, each as long as the hold; once for all steps."""
    project = shop(600)
    bar = "metrics.fixed(rate=0.5, allowed=0.85)"
    project.rolls(
        COUNTED
        + BESIDE
        + f"""
rollout("weeks", ramp(counted(baseline=weeks(), least=100)))
rollout("fixed", ramp(counted(baseline={bar})))
rollout("dry", ramp(counted(baseline=weeks(), least=9000, dry_run=True)))
"""
    )
    for name in ("weeks", "fixed"):
        (found,) = await asked(project, foreseen, name)
        assert (found.stage, found.enough) == ("activate NEW", True)
        assert "1 h" in found.told
    assert await asked(project, foreseen, "dry") == []
    shop(20)
    for name in ("weeks", "fixed"):
        with pytest.raises(TooLittleData, match="sold of activate NEW: "):
            await project.drive(name)


async def test_what_only_those_who_are_let_in_can_be_counted_of_is_not_known_before(shop):
    """Nobody was let in yet: that says nothing of how many will be, and refuses nothing."""
    project = shop(600)
    project.rolls(
        COUNTED
        + BESIDE
        + """
def nobody(stage, *before):
    none = counted(baseline=metrics.fixed(rate=0.5, allowed=0.85))
    return rollout(stage.__name__, *before, stage(none))

def soak(metric):
    return stages.soak("an hour", duration=minutes(60), metrics=[metric])

nobody(ramp), nobody(soak, ramp())
"""
    )
    project.sql("DELETE FROM visits")
    for name in ("ramp", "soak"):
        (found,) = await asked(project, foreseen, name)
        assert found.enough is None
        assert (
            found.told
            == f"nobody was counted until now; {found.needed} have to be, once they are let in"
        )


async def test_a_comparison_that_knows_no_earlier_times_says_what_it_needs_at_its_rate(project):
    """The rate that it says now; how many will come it cannot say, and nobody makes it up."""
    project.rolls(
        COUNTED
        + BESIDE
        + """
now = {"events": 0, "total": 0, "control_events": 50, "control_total": 1000}
rollout("small", ramp(metrics.python("sold", lambda: now,
    baseline=metrics.concurrent(allowed=0.85)), steps=(5, 100)))
"""
    )
    small, all_in = await asked(project, foreseen)
    assert (small.enough, all_in.enough) == (None, None)
    assert re.match(
        r"[45],\d{3} have to be counted with the new data, and 19 times as many", small.told
    )
    assert "at a rate of 0.05; how much it will count cannot be known before" in small.told


async def test_a_hold_that_is_over_before_the_first_look_is_refused(project):
    """It would be held at each step: nobody looked, and no data never passes."""
    project.rolls(
        BESIDE
        + """
late = filled(initial_delay=minutes(61))
often = filled(consecutive_success_limit=14)
rollout("late", ramp(late))
rollout("often", ramp(often))
rollout("well", ramp(filled(consecutive_success_limit=13)))
"""
    )
    with pytest.raises(TooLittleData, match="in 1 h it is looked at 0 times, and 1 are asked for"):
        await project.drive("late")
    with pytest.raises(
        TooLittleData, match="looked at 13 times, and 14 are asked for: hold longer"
    ):
        await project.drive("often")
    assert await asked(project, foreseen, "well") == []


async def test_what_decides_nothing_is_not_refused(shop):
    """A dry run may be as small as it likes."""
    project = shop(20)
    project.rolls(COUNTED + "watched(counted(least=100, baseline=weeks(), dry_run=True))")
    held = await project.drive(speed=7200.0)
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "inconclusive"


async def test_a_source_that_knows_no_earlier_times_is_said_to_be_unknown(project):
    """Nobody can tell before: it is told, and not refused."""
    project.rolls(
        COUNTED
        + """
watched(metrics.python("sold", lambda: {"events": 400, "total": 800},
    baseline=metrics.fixed(rate=0.5, allowed=0.85)))
"""
    )
    (found,) = await asked(project, foreseen)
    assert found.enough is None
    assert "have to be counted; how much it will count cannot be known before" in found.told


async def test_a_soak_that_can_be_extended_has_half_the_risk_at_each_end(shop):
    """Two chances to pass: each bound is 97.5 % sure, and so is what was foreseen."""
    project = shop(600)
    project.rolls(
        COUNTED
        + "watched(counted(baseline=weeks()), most=minutes(120), name='long')\n"
        + "watched(counted(baseline=weeks()))"
    )
    long, short = await project.drive("long", speed=7200.0), await project.drive(speed=7200.0)
    for done, sure in ((long, "97.5 %"), (short, "95 %")):
        judged = [e for e in done.journal.entries if e.kind == "stage.judged"]
        assert f"each bound {sure} sure" in judged[-1].data["why"]
    needed = [(await asked(project, foreseen, name))[0].needed for name in ("long", "small")]
    assert needed[0] > needed[1]


async def test_a_rehearsal_counts_what_would_have_been_false_alarms(shop):
    """One week in which half as many bought is a false alarm; steady weeks are none."""
    project = shop(600, lambda week, number: number % (4 if week == 3 else 2) == 0)
    project.rolls(COUNTED + "watched(counted(baseline=weeks()))")
    (wild,) = await asked(project, rehearse)
    assert (wild.times, wild.failed) == (8, 1)
    assert "fails 1" in wild.told
    shop(600)
    (steady,) = await asked(project, rehearse)
    assert (steady.times, steady.passed) == (8, 8)


async def test_a_rehearsal_asks_a_condition_at_every_slot_of_earlier_soaks(shop):
    """Eight soaks one after the other before now; no rollout and no file comes of it."""
    project = shop(60, lambda week, number: week == 0 and number == 10)
    project.rolls(
        COUNTED + "watched(counted(failure_condition='result.events > 0', inconclusive_limit=-1))"
    )
    (found,) = await asked(project, rehearse)
    assert (found.times, found.failed) == (8, 1)
    assert found.passed == 1  # of two hours before now there are visits at all
    assert found.inconclusive == 6
    assert not (project.root / "soak.md").exists()


async def test_too_little_traffic_is_inconclusive_with_numbers_and_never_green(shop):
    """P8: the weeks before had enough, so that it began; then the visits stayed away."""
    project = shop(600)
    project.rolls(COUNTED + "watched(counted(least=200, baseline=weeks()), most=minutes(120))")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    project.sql("DELETE FROM visits WHERE at >= ? AND random() % 50 <> 0", now)
    held = await project.drive(speed=7200.0)
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "inconclusive"
    assert "soak.extended" in kinds(held.journal.entries)
    assert "200" in held.left.why
    assert "**inconclusive**" in (project.root / "soak.md").read_text()


async def test_a_rate_that_truly_fell_fails_before_the_end_with_the_numbers(shop):
    """By evidence that may be looked at at any time; no approval overrides it."""
    project = shop(600, lambda week, number: number % (5 if week <= 0 else 2) == 0)
    project.rolls(COUNTED + "watched(counted(baseline=weeks(), critical=True))")
    held = await project.drive(speed=7200.0)
    assert held.journal.standing.held.verdict == "fail"
    assert "proved to be below 85 % of the baseline (evidence" in held.left.why
    assert "**fail**" in (project.root / "soak.md").read_text()
