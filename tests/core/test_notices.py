"""Who is told what, and when: severity, patterns, repeats, silence, many made into one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from proctor.core.notices import (
    SEVERITIES,
    Notice,
    Rule,
    goes_to,
    matches,
    message,
    severity_of,
    without_repeats,
)
from proctor.core.windows import parse_window
from proctor.engine.events import EVENTS
from proctor.model import Event, Severity

NIGHT = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)


def event(name="run.failed", run="r1", at=NIGHT, **data):
    return Event(name=name, at=at, run=run, env="production", who="ada", data=data)


def notice(name="run.failed", backfill="fill", **words):
    told = event(name, **words)
    return Notice(event=told, severity=severity_of(told), backfill=backfill)


def test_every_event_has_a_severity_and_nothing_else_has():
    """A new event is a decision about who is woken by it."""
    assert {name.partition("/")[0] for name in SEVERITIES} == set(EVENTS)


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        (event("run.failed"), "critical"),
        (event("run.rate_collapsed"), "critical"),
        (event("limit.neared"), "warning"),
        (event("run.succeeded"), "info"),
        (event("rows.checked", verdict="pass"), "info"),
        (event("rows.checked", verdict="fail"), "critical"),
        (event("rows.checked", verdict="inconclusive"), "warning"),
        (event("alert.raised", alert="stuck"), "critical"),
        (event("alert.raised", alert="resolution"), "warning"),
        (event("batch.ended", how="settled"), "info"),
        (event("batch.ended", how="lost"), "warning"),
        (event("of.tomorrow"), "info"),
    ],
    ids=lambda value: f"{value.name} {dict(value.data)}" if isinstance(value, Event) else value,
)
def test_the_severity_is_of_the_event_and_of_what_it_says(told, severity):
    assert severity_of(told) == severity


@pytest.mark.parametrize("name", ["chunk.applied", "columns.noted", "notice.sent"])
def test_what_happens_all_the_time_is_never_told(name):
    """Nor what telling itself does: it would tell of itself for ever."""
    assert severity_of(event(name)) is None


@pytest.mark.parametrize(
    ("patterns", "name", "meant"),
    [
        (["*"], "run.failed", True),
        (["run.*"], "limit.neared", False),
        (["run.*", "!run.throttled"], "run.throttled", False),
        (["run.*", "!run.throttled"], "run.failed", True),
        (["!run.*"], "limit.neared", True),
        (["run.failed", "quota.spent"], "quota.spent", True),
    ],
)
def test_events_are_chosen_by_name_and_pattern(patterns, name, meant):
    assert matches(patterns, name) is meant


def test_a_place_hears_of_its_severity_and_above():
    rule = Rule(place="oncall", least=Severity.CRITICAL)
    assert goes_to(rule, notice("run.failed"))
    assert not goes_to(rule, notice("limit.neared"))
    assert goes_to(replace(rule, least=Severity.INFO), notice("run.succeeded"))


def test_silence_holds_back_all_but_what_is_critical():
    """Nobody is woken by a warning, and nobody sleeps through a failure."""
    rule = Rule(place="team", silence=(parse_window("22:00-07:00"),))
    assert not goes_to(rule, notice("limit.neared"))
    assert goes_to(rule, notice("limit.neared", at=NIGHT + timedelta(hours=4)))
    assert goes_to(rule, notice("run.failed"))


def test_the_same_thing_is_not_told_again_within_its_time():
    """Whichever run it is of; the next hour it is news again."""
    rule = Rule(place="team", repeat_after=timedelta(hours=1))
    many = [notice(run=f"r{n}", at=NIGHT + timedelta(minutes=20 * n), why="down") for n in range(5)]
    assert [n.event.run for n in without_repeats(rule, many, {})] == ["r0", "r3"]
    told = {many[0].thing: NIGHT}
    assert [n.event.run for n in without_repeats(rule, many, told)] == ["r3"]


@pytest.mark.parametrize(
    "other",
    [
        notice(backfill="another"),
        notice("run.paused"),
        replace(notice(), event=replace(event(), env="staging")),
    ],
)
def test_another_thing_is_told(other):
    assert without_repeats(Rule(place="team"), [other], {notice().thing: NIGHT}) == [other]


def test_a_new_harm_of_a_rollout_is_news_and_held_once_more_is_none():
    """People sent it on, and it failed again within the hour: readers were harmed again."""
    told = {"rollout": "r1", "of": "small", "verdict": "fail"}
    first, again = (
        notice("rollout.held", since=12, why=why, **told) for why in ("bad", "bad; the run went on")
    )
    anew = notice("rollout.held", since=40, why="bad", **told)
    assert without_repeats(Rule(place="team"), [first, again, anew], {}) == [first, anew]


def test_two_limits_and_two_alerts_are_two_things():
    rule = Rule(place="team")
    limits = [notice("limit.neared", provider="a", limit=x) for x in ("daily", "budget_usd")]
    alerts = [notice("alert.raised", alert=x) for x in ("failed", "stuck")]
    assert without_repeats(rule, [*limits, *alerts], {}) == [*limits, *alerts]


def test_a_clock_that_went_back_silences_nothing():
    told = {notice().thing: NIGHT + timedelta(days=1)}
    assert without_repeats(Rule(place="team"), [notice()], told) == [notice()]


def test_without_a_time_everything_is_told_each_time():
    rule = Rule(place="team", repeat_after=timedelta(0))
    assert len(without_repeats(rule, [notice(), notice()], {})) == 2


def test_one_notice_says_what_where_why_and_who():
    made = message([notice(why="the disk is full", chunk=0)])
    assert made.title == "Proctor, production: run.failed of fill (critical)"
    assert made.text == "why: the disk is full\nrun: r1\nby: ada\nat: 2026-11-29 03:00:00 UTC"
    assert made.severity is Severity.CRITICAL


def test_many_become_one_with_the_gravest_in_front():
    many = [notice("limit.neared", provider=f"p{n}") for n in range(30)]
    made = message([*many, notice(why="down")], left_out=4)
    assert made.title == "Proctor, production: run.failed of fill (critical) and 34 more"
    lines = made.text.splitlines()
    assert "03:00:00 run.failed of fill (critical) [r1]: why down" in lines
    assert len(lines) == 13
    assert lines[-1] == "and 23 more, which the ledger has"


def test_a_long_text_is_cut_and_lines_stay_lines():
    made = message([notice(why="a\nb" * 400)])
    assert len(made.text.splitlines()[0]) <= 410
